// Each system call of opening and adopting fails once, at each place: nothing may be left behind.
#include <hinge/listener.hpp>

#include "failing_calls.hpp"
#include "support/listening.hpp"
#include "support/temporary_folder.hpp"

#include <filesystem>

using hinge::address;
using hinge::listener;
using hinge::listener_options;
using hinge::unique_fd;
using namespace hinge::test;

namespace {

bool opens(const address& at, const listener_options& options) {
  const auto made = listener::open(at, options);
  calls_until_failure = -1;  // the destructor's calls are no part of opening
  if (made) return true;
  CHECK(made.error().code() == injected);
  CHECK_FALSE(made.error().argument().empty());
  return false;
}

const auto nothing = [] {};

}  // namespace

TEST_CASE("opening a TCP listener: whatever call fails, no descriptor is left") {
  const auto before = open_descriptors();
  const listener_options options = {.reuse_port = true, .no_delay = true, .keepalive = true};
  const int calls = fail_each_call(
      nothing, [&] { return opens(address::loopback(0), options); },
      [&] { CHECK(open_descriptors() == before); });
  CHECK(calls >= 8);
}

TEST_CASE("opening a Unix listener: whatever call fails, no descriptor and no path is left") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  const auto before = open_descriptors();
  const listener_options options = {.unix_mode = 0600, .unix_group = ::getegid()};
  const int calls = fail_each_call(
      nothing, [&] { return opens(at, options); },
      [&] {
        CHECK(open_descriptors() == before);
        CHECK(folder.empty());
      });
  CHECK(calls >= 7);
}

TEST_CASE("removing a stale path: whatever call fails, only the stale path may be left") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  const auto before = open_descriptors();
  const auto leave_stale = [&] {
    std::filesystem::remove(at.unix_name());
    const unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(hinge::sockets::bind(fd.get(), at) == 0);
  };
  const int calls = fail_each_call(
      leave_stale, [&] { return opens(at, {.remove_stale_path = true}); },
      [&] {
        CHECK(open_descriptors() == before);
        CHECK((folder.empty() || try_connect(at) == ECONNREFUSED));
      });
  CHECK(calls >= 11);
}

TEST_CASE("adopting: whatever call fails, the caller keeps a descriptor that listens") {
  const auto before = open_descriptors();
  unique_fd fd;
  address at;
  const auto listen = [&] {
    fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(hinge::sockets::bind(fd.get(), address::loopback(0)) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    at = *hinge::sockets::name_of(fd.get());
  };
  const auto adopts = [&] {
    auto made = listener::adopt(fd, {.no_delay = true});
    calls_until_failure = -1;
    if (made) fd.reset(made->release());
    return made.has_value();
  };
  const int calls = fail_each_call(listen, adopts, [&] {
    CHECK(open_descriptors() == before + 1);
    CHECK(try_connect(at) == 0);
  });
  CHECK(calls >= 9);
}
