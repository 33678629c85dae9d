#include <hinge/accept_error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cerrno>

using hinge::accept_class;
using hinge::classify_accept_error;

static_assert(classify_accept_error(EMFILE) == accept_class::exhausted, "usable at compile time");

TEST_CASE("nothing waits") {
  CHECK(classify_accept_error(EAGAIN) == accept_class::drained);
  CHECK(classify_accept_error(EWOULDBLOCK) == accept_class::drained);
}

TEST_CASE("one connection is lost, the next may be there") {
  for (const int code : {EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
                         EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT}) {
    INFO(code);
    CHECK(classify_accept_error(code) == accept_class::retry);
  }
}

TEST_CASE("no descriptor or no memory") {
  for (const int code : {EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSR}) {
    INFO(code);
    CHECK(classify_accept_error(code) == accept_class::exhausted);
  }
}

TEST_CASE("the listener never accepts again") {
  for (const int code : {EBADF, EINVAL, ENOTSOCK, EFAULT}) {
    INFO(code);
    CHECK(classify_accept_error(code) == accept_class::dead);
  }
}

TEST_CASE("a number without a known meaning is unknown") {
  // EPERM and EACCES: a security module's, which leaves the connection in the queue.
  for (const int code : {0, -EAGAIN, EPERM, EACCES, ENOSYS, EIO, 512, 4711}) {
    INFO(code);
    CHECK(classify_accept_error(code) == accept_class::unknown);
  }
}

TEST_CASE("no errno has two meanings") {
  for (const auto& row : hinge::accept_errors) {
    INFO(row.code);
    CHECK(classify_accept_error(row.code) == row.meaning);
    CHECK(row.meaning != accept_class::unknown);
  }
}

TEST_CASE("each class has a name") {
  CHECK(name(accept_class::drained) == "drained");
  CHECK(name(accept_class::retry) == "retry");
  CHECK(name(accept_class::exhausted) == "exhausted");
  CHECK(name(accept_class::dead) == "dead");
  CHECK(name(accept_class::unknown) == "unknown");
}
