// The names of backends, which of them a build has, and the report on their use.
#include <hinge/backend.hpp>

#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

using hinge::backend;
using hinge::backend_choice;
using hinge::backend_named;
using hinge::backend_verdict;

TEST_CASE("a backend and its name belong to one another, built or not") {
  CHECK(hinge::backend_name(backend::automatic) == "auto");
  CHECK(hinge::backend_name(backend::epoll) == "epoll");
  CHECK(hinge::backend_name(backend::io_uring) == "uring");
  CHECK(hinge::backend_name(static_cast<backend>(200)) == "unknown");
  for (const backend one : {backend::automatic, backend::epoll, backend::io_uring})
    CHECK(backend_named(hinge::backend_name(one)) == one);
  for (const char* stranger : {"", "unknown", "Epoll", "epoll ", "io_uring", "list"})
    CHECK_FALSE(backend_named(stranger));
}

TEST_CASE("what is built stands in the order of preference") {
  const auto built = hinge::built_backends();
  const std::vector<backend> found(built.begin(), built.end());
#ifdef HINGE_HAVE_URING
  CHECK(found == std::vector{backend::io_uring, backend::epoll});
#else
  CHECK(found == std::vector{backend::epoll});
#endif
}

TEST_CASE("the report has all candidates in order, and the first usable one is chosen") {
  const backend_choice report = hinge::backend_report();
  std::vector<backend> built;
  for (const backend_verdict& one : report.candidates) {
    CAPTURE(hinge::backend_name(one.which));
    if (one.built) built.push_back(one.which);
    CHECK(one.built == (one.text() != "not built"));
    if (!one.built) CHECK(one.usable.error().code() == EINVAL);
  }
  CHECK(std::equal(built.begin(), built.end(), hinge::built_backends().begin(),
                   hinge::built_backends().end()));
  const auto first = std::find_if(report.candidates.begin(), report.candidates.end(),
                                  [](const backend_verdict& one) { return bool(one.usable); });
  REQUIRE(first != report.candidates.end());
  CHECK(report.chosen == first->which);
}

TEST_CASE("the report is one sentence that says why") {
  const backend_choice report = hinge::backend_report();
  const std::string said = report.text();
  CAPTURE(said);
  CHECK(said.find('\n') == std::string::npos);
  utsname system;
  REQUIRE(::uname(&system) == 0);
  if (report.chosen == backend::io_uring) {
    CHECK(said == "io_uring: self-test passed on Linux " + std::string(system.release));
  } else if (hinge::built_backends().front() == backend::io_uring) {
    CHECK(said.starts_with("epoll: io_uring refused: "));
  } else {
    CHECK(said == "epoll: io_uring not built");
  }
}

TEST_CASE("a refusal says what was refused, and what that means as a rule") {
  backend_choice made;
  made.candidates[0] = {backend::io_uring, true, hinge::fail("io_uring_setup", "a ring", EPERM)};
  made.candidates[1] = {backend::epoll, true, {}};
  made.chosen = backend::epoll;
  CHECK(made.text() ==
        "epoll: io_uring refused: io_uring_setup a ring: EPERM: Operation not permitted "
        "(kernel.io_uring_disabled, or a seccomp filter)");
  made.candidates[0].usable = hinge::fail("self-test:", "receive", EPERM);
  CHECK(made.text() ==
        "epoll: io_uring refused: self-test: receive: EPERM: Operation not permitted");
}

TEST_CASE("asking leaves nothing open, and any thread may ask") {
  const std::string said = hinge::backend_report().text();
  const std::size_t before = hinge::test::open_descriptors();
  std::vector<std::string> answers(8);
  std::vector<std::thread> threads;
  for (std::string& answer : answers)
    threads.emplace_back([&answer] { answer = hinge::backend_report().text(); });
  for (std::thread& one : threads) one.join();
  for (const std::string& answer : answers) CHECK(answer == said);
  CHECK(hinge::test::open_descriptors() == before);
}
