#include <hinge/listener.hpp>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/temporary_folder.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

using hinge::address;
using hinge::listener;
using hinge::listener_options;
using hinge::unique_fd;
using namespace hinge::test;
namespace sockets = hinge::sockets;

namespace {

unique_fd bound(int domain, int type, const address& at) {
  unique_fd fd(::socket(domain, type, 0));
  REQUIRE(fd);
  REQUIRE(sockets::bind(fd.get(), at) == 0);
  return fd;
}

// As from a supervisor: blocking and inherited on exec.
unique_fd listening(const address& at, int backlog = 5) {
  unique_fd fd = bound(domain_of(at), SOCK_STREAM, at);
  REQUIRE(::listen(fd.get(), backlog) == 0);
  return fd;
}

// The error's text, with N in place of the descriptor; checks that the caller still has it,
// untouched.
std::string refused(unique_fd& fd, const listener_options& options = {}) {
  const leak_check leaks;
  const int number = fd.get();
  const int flags = ::fcntl(number, F_GETFL);
  const int on_exec = ::fcntl(number, F_GETFD);
  const auto made = listener::adopt(fd, options);
  REQUIRE_FALSE(made);
  CHECK(fd.get() == number);
  CHECK(::fcntl(number, F_GETFL) == flags);
  CHECK(::fcntl(number, F_GETFD) == on_exec);
  std::string text = made.error().text();
  const std::string named = "descriptor " + std::to_string(number);
  if (const auto found = text.find(named); found != text.npos)
    text.replace(found, named.size(), "descriptor N");
  return text;
}

}  // namespace

TEST_CASE("a listening descriptor is taken over and serves") {
  const leak_check leaks;
  std::vector<address> places = {address::loopback(0)};
  if (!masked) places.push_back(*address::unix_abstract("hinge-adopt-" + std::to_string(getpid())));
  for (const address& at : places) {
    unique_fd fd = listening(at);
    const int number = fd.get();
    const unique_fd early = connected(*sockets::name_of(number));
    auto made = listener::adopt(fd);
    INFO(made.error().text());
    REQUIRE(made);
    CHECK_FALSE(fd);
    CHECK(made->fd() == number);
    CHECK(made->local() == *sockets::name_of(number));
    CHECK(made->tcp() == at.is_inet());
    CHECK((::fcntl(number, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(accepted(*made));  // what waited before is still there
    const unique_fd late = connected(made->local());
    CHECK(accepted(*made));
  }
}

TEST_CASE("the options are applied to an adopted descriptor, the backlog too") {
  unique_fd fd = listening(address::loopback(0), 5);
  const auto made = listener::adopt(fd, {.backlog = 77,
                                         .no_delay = true,
                                         .keepalive = true,
                                         .keepalive_idle_s = 11,
                                         .user_timeout_ms = masked ? 0 : 14'000});
  REQUIRE(made);
  CHECK(made->asked_backlog() == 77);
  const int in_force = std::min(77, setting("/proc/sys/net/core/somaxconn"));
  CHECK(made->effective_backlog() == (tells_queue ? in_force : -1));
  const unique_fd client = connected(made->local());
  const unique_fd served = accepted(*made);
  CHECK(option(served.get(), IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(option(served.get(), SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(served.get(), IPPROTO_TCP, TCP_KEEPIDLE) == 11);
  if (!masked) CHECK(option(served.get(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 14'000);
}

TEST_CASE("what acts before bind can't be asked of an adopted descriptor") {
  unique_fd fd = listening(address::loopback(0));
  const std::string at = sockets::name_of(fd.get())->text();
  const auto check = [&](const std::string& option, const listener_options& options) {
    CHECK(refused(fd, options) ==
          "listener_options " + option + " on " + at + " (adopted): EINVAL: Invalid argument");
  };
  check("reuse_port=1", {.reuse_port = true});
  if (!masked) check("free_bind=1", {.free_bind = true});
  check("backlog=-1", {.backlog = -1});
  CHECK(refused(fd, {.v6_only = true}).ends_with("EOPNOTSUPP: Operation not supported"));
}

TEST_CASE("an adopted path belongs to who made it") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  unique_fd fd = listening(at);
  const std::string text = at.text();
  CHECK(refused(fd, {.unix_mode = 0600}) ==
        "listener_options unix_mode on " + text + " (adopted): EINVAL: Invalid argument");
  CHECK(refused(fd, {.remove_stale_path = true}) ==
        "listener_options remove_stale_path on " + text + " (adopted): EINVAL: Invalid argument");
  auto made = listener::adopt(fd);
  REQUIRE(made);
  made->close();
  CHECK(std::filesystem::exists(at.unix_name()));
}

TEST_CASE("no descriptor") {
  unique_fd empty;
  const auto made = listener::adopt(empty);
  REQUIRE_FALSE(made);
  CHECK(made.error().text() == "adopt descriptor -1: EBADF: Bad file descriptor");
}

TEST_CASE("no socket") {
  unique_fd file(::open("/dev/null", O_RDONLY));
  CHECK(refused(file) == "adopt descriptor N: ENOTSOCK: Socket operation on non-socket");
}

TEST_CASE("no stream") {
  unique_fd datagrams = bound(AF_INET, SOCK_DGRAM, address::loopback(0));
  CHECK(refused(datagrams) ==
        "adopt descriptor N is no SOCK_STREAM: ESOCKTNOSUPPORT: Socket type not supported");
}

TEST_CASE("no family of ours") {
  unique_fd other(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!other) SKIP("no AF_VSOCK here, the one other family with streams");
  CHECK(refused(other) ==
        "adopt descriptor N is not IPv4, IPv6 or Unix: "
        "EAFNOSUPPORT: Address family not supported by protocol");
}

TEST_CASE("no listener") {
  const std::string expected = "adopt descriptor N does not listen: EINVAL: Invalid argument";
  unique_fd only_bound = bound(AF_INET, SOCK_STREAM, address::loopback(0));
  CHECK(refused(only_bound) == expected);

  const unique_fd server = listening(address::loopback(0));
  unique_fd client = connected(*sockets::name_of(server.get()));
  CHECK(refused(client) == expected);

  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0);
  unique_fd near(pair[0]);
  const unique_fd far(pair[1]);
  CHECK(refused(near) == expected);
}
