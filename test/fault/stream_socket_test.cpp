// However a system makes and accepts sockets, they come out alike, and what fails on the way leaves
// nothing open. Where a system needs more calls is known from the build: see test/mask/system.hpp.
#include "stream_socket.hpp"

#include <hinge/listener.hpp>
#include <hinge/socket.hpp>

#include "peer_name.hpp"
#include "simulator/call_hooks.hpp"
#include "support/listening.hpp"
#include "support/masked.hpp"

#include <csignal>

using hinge::address;
using hinge::family;
using hinge::inet_name;
using hinge::listener;
using hinge::unique_fd;
using namespace hinge::test;
namespace sockets = hinge::sockets;
namespace stream_socket = hinge::stream_socket;
namespace sys = hinge::sys;

namespace {

void check_flags(int fd) {
  CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

int accept_from(const listener& door) {
  sockaddr_storage from;
  return stream_socket::accept_one(door.fd(), from);
}

/// Accepts while the n-th call of a kind fails.
int accept_while_failing(const listener& door, call_id what, int code, std::uint64_t nth = 1) {
  const unique_fd client = connected(door.local());
  const call_hooks hooks(
      [=](call_id made, std::uint64_t n) { return made == what && n == nth ? -code : 0; });
  return accept_from(door);
}

/// Counts SIGPIPE in place of dying of it.
class pipe_signals {
public:
  pipe_signals() : before_(std::signal(SIGPIPE, [](int) { count_ = count_ + 1; })) { count_ = 0; }
  ~pipe_signals() { std::signal(SIGPIPE, before_); }
  static int count() { return count_; }

private:
  static volatile std::sig_atomic_t count_;
  void (*before_)(int);
};
volatile std::sig_atomic_t pipe_signals::count_ = 0;

/// Sends until the peer's absence is heard.
int send_to_nobody(int fd) {
  int sent = 0;
  for (int i = 0; i < 1000 && sent >= 0; ++i) {
    sent = sockets::send(fd, std::as_bytes(std::span("x", 1)));
    if (sent == -ECONNRESET) sent = 0;  // the next one is EPIPE
  }
  return sent;
}

/// As macOS does it for a peer that has gone.
#ifdef HINGE_HAVE_ACCEPT4
int accept_nameless(int fd, sockaddr*, socklen_t* length, int flags) noexcept {
  *length = 0;
  return sys::real.accept4(fd, nullptr, nullptr, flags);
}
void accept_nameless_in(sys::call_table& table) { table.accept4 = accept_nameless; }
#else
int accept_nameless(int fd, sockaddr*, socklen_t* length) noexcept {
  *length = 0;
  return sys::real.accept(fd, nullptr, nullptr);
}
void accept_nameless_in(sys::call_table& table) { table.accept = accept_nameless; }
#endif

}  // namespace

TEST_CASE("made or accepted, a socket doesn't block and is closed on exec") {
  const leak_check leaks;
  for (const family of : {family::ipv4, family::ipv6, family::unix_path}) {
    const unique_fd made(sockets::open_stream(of));
    REQUIRE((made || made.get() == -EAFNOSUPPORT));
    if (made) check_flags(made.get());
  }
  CHECK(sockets::open_stream(family::none) == -EAFNOSUPPORT);
  // A BSD hands its O_NONBLOCK on, Linux doesn't: it has to be there either way.
  for (const bool blocking : {false, true}) {
    const listener door = opened(address::loopback(0));
    const unique_fd client = connected(door.local());
    if (blocking) REQUIRE(::fcntl(door.fd(), F_SETFL, 0) == 0);
    const unique_fd served(accept_from(door));
    REQUIRE(served);
    check_flags(served.get());
  }
}

TEST_CASE("a socket that can't be made as it should leaves no descriptor") {
  const leak_check leaks;
  call_id failing = call_id::socket;
  const call_hooks hooks([&](call_id what, std::uint64_t) { return what == failing ? -EIO : 0; });
  CHECK(sockets::open_stream(family::ipv4) == -EIO);
  if (!masked) return;
  for (const call_id what : {call_id::fcntl, call_id::setsockopt}) {
    failing = what;
    CHECK(sockets::open_stream(family::ipv4) == -EIO);
  }
}

TEST_CASE("an accept that fails says accept's errno") {
  const leak_check leaks;
  const listener door = opened(address::loopback(0));
  CHECK(accept_from(door) == -EAGAIN);
  CHECK(accept_while_failing(door, call_that_accepts, EMFILE) == -EMFILE);
}

TEST_CASE("a step after the accept that fails loses that connection alone") {
  if (!masked) SKIP("accept4(2) has no steps after it");
  const leak_check leaks;
  const listener door = opened(address::loopback(0));
  // EBADF and EINVAL of accept itself would mean that the listener is dead.
  for (const std::uint64_t nth : {1, 2})
    for (const int code : {EBADF, EINVAL, EIO})
      CHECK(accept_while_failing(door, call_id::fcntl, code, nth) == -ECONNABORTED);
  CHECK(accept_while_failing(door, call_id::setsockopt, ENOMEM) == -ECONNABORTED);
}

TEST_CASE("EINVAL of setsockopt right after the accept means a peer that has gone") {
  const listener door = opened(address::loopback(0));
  const unique_fd served(accept_while_failing(door, call_id::setsockopt, EINVAL));
  REQUIRE(served);
  check_flags(served.get());
}

TEST_CASE("an accept that names nobody gives a peer of no family") {
  const listener door = opened(address::loopback(0));
  const unique_fd client = connected(door.local());
  const sys::call_table before = sys::current;
  accept_nameless_in(sys::current);
  sockaddr_storage from;
  from.ss_family = AF_INET;  // of the connection before
  const unique_fd served(stream_socket::accept_one(door.fd(), from));
  sys::current = before;
  REQUIRE(served);
  inet_name who{.port = 7, .family = family::ipv4};
  hinge::compact(from, who);
  CHECK(who == inet_name{});
  CHECK(address::from_kernel(reinterpret_cast<const sockaddr*>(&from), 0) == address());
}

TEST_CASE("no socket of ours raises SIGPIPE") {
  const pipe_signals signals;
  const listener door = opened(address::loopback(0));
  const unique_fd client = connected(door.local());
  unique_fd served(accept_from(door));
  REQUIRE(served);
  unique_fd gone(connected(door.local()));
  const unique_fd left(accept_from(door));
  gone.reset();
  CHECK(send_to_nobody(left.get()) == -EPIPE);
  const iovec piece{.iov_base = &served, .iov_len = 1};
  CHECK(sockets::send_pieces(left.get(), {&piece, 1}, true) == -EPIPE);

  const unique_fd made(sockets::open_stream(family::ipv4));
  const int connecting = sockets::connect(made.get(), door.local());
  CHECK((connecting == 0 || connecting == -EINPROGRESS));
  unique_fd other(accept_from(door));
  REQUIRE(other);
  other.reset();
  CHECK(send_to_nobody(made.get()) == -EPIPE);
  CHECK(signals.count() == 0);
}

TEST_CASE("an adopted listener forbids SIGPIPE, for systems that hand that on") {
  if (!masked) SKIP("MSG_NOSIGNAL is with each send");
  unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::bind(fd.get(), address::loopback(0)) == 0);
  REQUIRE(::listen(fd.get(), 8) == 0);
  call_hooks hooks;
  hooks.start_log();
  const auto made = listener::adopt(fd);
  REQUIRE(made);
  CHECK(hooks.count(call_id::setsockopt) == 1);
}

TEST_CASE("reuse_port takes the option that balances") {
  call_hooks hooks;
  hooks.start_log();
  const listener door = opened(address::loopback(0), {.reuse_port = true});
  constexpr int balancing = masked ? 0x10000 : SO_REUSEPORT;  // mask/doubles.hpp
  const auto& log = hooks.log();
  CHECK(std::count_if(log.begin(), log.end(), [](const call_seen& seen) {
          return seen.what == call_id::setsockopt && seen.arguments[2] == balancing;
        }) == 1);
  CHECK(option(door.fd(), SOL_SOCKET, SO_REUSEPORT) == 1);
}
