// Each system call of passing and inheriting listeners fails once, at each place: no descriptor is
// left behind, and who sends keeps what it had.
#include <hinge/inherited_listeners.hpp>
#include <hinge/listener_passing.hpp>
#include <hinge/service_manager.hpp>

#include "failing_calls.hpp"
#include "support/listening.hpp"
#include "support/temporary_folder.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

using namespace hinge;
using namespace hinge::test;
using namespace std::chrono_literals;

namespace {

struct passing_pair {
  passing_pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  unique_fd here;
  unique_fd there;
};

}  // namespace

TEST_CASE("sending listeners: whatever call fails, the sender keeps them") {
  const listener one = opened(address::loopback(0));
  const std::array<outgoing_listener, 2> all = {{{one.fd(), "web"}, {one.fd(), "again"}}};
  const auto before = open_descriptors();
  const int calls = fail_each_call([] {},
                                   [&] {
                                     passing_pair pair;
                                     return bool(send_listeners(pair.here.get(), all, 5s));
                                   },
                                   [&] {
                                     CHECK(open_descriptors() == before);
                                     CHECK(try_connect(one.local()) == 0);
                                   });
  CHECK(calls >= 8);
}

TEST_CASE("receiving listeners: whatever call fails, none of them is left") {
  const listener one = opened(address::loopback(0));
  const std::array<outgoing_listener, 2> all = {{{one.fd(), "web"}, {one.fd(), "again"}}};
  const auto before = open_descriptors();
  std::optional<passing_pair> pair;
  const int calls = fail_each_call(
      [&] {
        pair.emplace();
        REQUIRE(send_listeners(pair->here.get(), all, 5s));
      },
      [&] { return bool(receive_listeners(pair->there.get(), 5s)); },
      [&] {
        pair.reset();
        CHECK(open_descriptors() == before);
        CHECK(try_connect(one.local()) == 0);
      });
  CHECK(calls >= 8);
}

TEST_CASE("inheriting listeners: whatever call fails, none of them is left") {
  const listener one = opened(address::loopback(0));
  const auto before = open_descriptors();
  std::string said;
  const int calls = fail_each_call(
      [&] {
        const int first = ::dup(one.fd());
        const int second = ::dup(one.fd());
        said = std::to_string(first) + "=web;" + std::to_string(second) + "=again";
      },
      [&] { return bool(inherited_listeners({.listeners = said})); },
      [&] {
        // A descriptor that can't be known to be open isn't this process's to close.
        const bool unknown = failed_call != nullptr && std::string_view(failed_call) == "fcntl";
        CHECK(open_descriptors() <= before + unknown);
        for (int fd = 3; fd < 100; ++fd)  // for the next time
          if (open_descriptors() > before && fd != one.fd() && sockets::name_of(fd) &&
              *sockets::name_of(fd) == one.local())
            ::close(fd);
        CHECK(open_descriptors() == before);
      });
  CHECK(calls >= 8);
}

TEST_CASE("telling the service manager: whatever call fails, it is told") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "notify");
  const unique_fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE(sockets::bind(manager.get(), at) == 0);
  const auto before = open_descriptors();
  const auto told = service_manager::of({.notify_socket = std::string(at.unix_name())});
  REQUIRE(told);
  const int calls = fail_each_call([] {}, [&] { return bool(told->ready()); },
                                   [&] {
                                     CHECK(open_descriptors() == before);
                                     char drained[64];
                                     (void)::recv(manager.get(), drained, sizeof drained, 0);
                                   });
  CHECK(calls >= 4);
}
