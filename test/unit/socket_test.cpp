#include <hinge/socket.hpp>

#include "support/descriptors.hpp"
#include "support/masked.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <linux/tcp.h>  // netinet/tcp.h knows fewer counters
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

using hinge::address;
using hinge::unique_fd;
namespace sockets = hinge::sockets;

namespace {

struct pair_of_sockets {
  unique_fd near;
  unique_fd far;
};

pair_of_sockets unix_pair() {
  std::array<int, 2> fds{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return {unique_fd(fds[0]), unique_fd(fds[1])};
}

unique_fd listening() {
  unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd);
  REQUIRE(sockets::bind(fd.get(), address::loopback(0)) == 0);
  REQUIRE(::listen(fd.get(), 8) == 0);
  return fd;
}

pair_of_sockets tcp_pair() {
  const unique_fd listener = listening();
  unique_fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::connect(near.get(), *sockets::name_of(listener.get())) == 0);
  unique_fd far(::accept(listener.get(), nullptr, nullptr));
  REQUIRE(far);
  return {std::move(near), std::move(far)};
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string received(int fd) {
  std::array<std::byte, 256> room{};
  const int length = sockets::receive(fd, room);
  INFO("receive: " << length);
  REQUIRE(length >= 0);
  return {reinterpret_cast<const char*>(room.data()), static_cast<std::size_t>(length)};
}

void wait_readable(int fd) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&one, 1, 10'000) == 1);
}

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(fd, level, name, &value, &length) == 0);
  return value;
}

}  // namespace

TEST_CASE("bytes go through, and the end is 0") {
  auto [near, far] = unix_pair();
  CHECK(sockets::send(near.get(), bytes("hello")) == 5);
  CHECK(received(far.get()) == "hello");
  CHECK(sockets::shutdown_write(near.get()) == 0);
  CHECK(received(far.get()).empty());
  CHECK(sockets::send(far.get(), bytes("still")) == 5);
  CHECK(received(near.get()) == "still");
}

TEST_CASE("nothing waits, not even on a blocking descriptor") {
  auto [near, far] = unix_pair();
  REQUIRE((::fcntl(near.get(), F_GETFL) & O_NONBLOCK) == 0);
  std::array<std::byte, 16> room{};
  CHECK(sockets::would_block(sockets::receive(near.get(), room)));

  const std::vector<std::byte> much(1 << 16);
  int code = 0;
  std::size_t sent = 0;
  while ((code = sockets::send(near.get(), much)) > 0) sent += static_cast<std::size_t>(code);
  CHECK(sockets::would_block(code));
  CHECK(sent > 0);
}

TEST_CASE("pieces go out as one") {
  auto [near, far] = unix_pair();
  std::string first = "one ";
  std::string second = "two ";
  std::string third = "three";
  const std::array<iovec, 3> pieces = {
      {{first.data(), first.size()}, {second.data(), second.size()}, {third.data(), third.size()}}};
  CHECK(sockets::send_pieces(near.get(), pieces, false) == 13);
  CHECK(received(far.get()) == "one two three");
}

TEST_CASE("sending to a peer that is gone is EPIPE without SIGPIPE") {
  hinge::test::
      need_linux();  // elsewhere only sockets of hinge's: test/fault/stream_socket_test.cpp
  auto [near, far] = unix_pair();
  far.reset();
  std::string piece = "x";
  const std::array<iovec, 1> pieces = {{{piece.data(), piece.size()}}};
  CHECK(sockets::send(near.get(), bytes("x")) == -EPIPE);
  CHECK(sockets::send_pieces(near.get(), pieces, true) == -EPIPE);
  CHECK(sockets::peer_gone(-EPIPE));
}

TEST_CASE("a last reply and the close share one packet") {
  hinge::test::need_linux();
  // The kernel lets go of held bytes after 200 ms: on a machine that stalls, try again.
  std::uint32_t segments = 0;
  for (int round = 0; round < 20 && segments != 1; ++round) {
    auto [near, far] = tcp_pair();
    CHECK(sockets::send(near.get(), bytes("re"), true) == 2);
    CHECK(sockets::send(near.get(), bytes("ply"), true) == 3);
    near.reset();
    wait_readable(far.get());
    CHECK(received(far.get()) == "reply");
    CHECK(received(far.get()).empty());
    tcp_info facts{};
    socklen_t length = sizeof facts;
    REQUIRE(::getsockopt(far.get(), IPPROTO_TCP, TCP_INFO, &facts, &length) == 0);
    segments = facts.tcpi_data_segs_in;
  }
  CHECK(segments == 1);
}

TEST_CASE("without more_follows a small packet leaves at once") {
  auto [near, far] = tcp_pair();
  CHECK(sockets::send(near.get(), bytes("now")) == 3);
  CHECK(received(far.get()) == "now");
}

TEST_CASE("close closes, once") {
  auto [near, far] = unix_pair();
  const int fd = near.release();
  CHECK(sockets::close(fd) == 0);
  CHECK_FALSE(hinge::test::is_open(fd));
  CHECK(sockets::close(fd) == -EBADF);
}

TEST_CASE("reset_on_close resets the peer") {
  auto [near, far] = tcp_pair();
  CHECK(sockets::reset_on_close(near.get()) == 0);
  near.reset();
  wait_readable(far.get());
  std::array<std::byte, 16> room{};
  const int code = sockets::receive(far.get(), room);
  CHECK(code == -ECONNRESET);
  CHECK(sockets::peer_gone(code));
}

TEST_CASE("pending_error reads and clears the error") {
  unique_fd closed = listening();
  const address nobody = *sockets::name_of(closed.get());
  closed.reset();
  const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int code = sockets::connect(fd.get(), nobody);
  if (code == -EINPROGRESS) {
    pollfd one{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    REQUIRE(::poll(&one, 1, 10'000) == 1);
    CHECK(sockets::pending_error(fd.get()) == ECONNREFUSED);
  } else {
    CHECK(code == -ECONNREFUSED);
  }
  CHECK(sockets::pending_error(fd.get()) == 0);
  CHECK(sockets::pending_error(-1) == -EBADF);
}

TEST_CASE("both ends have names") {
  auto [near, far] = tcp_pair();
  CHECK(*sockets::peer_of(near.get()) == *sockets::name_of(far.get()));
  CHECK(*sockets::name_of(near.get()) == *sockets::peer_of(far.get()));
  CHECK(sockets::name_of(far.get())->is_loopback());
  auto [one, other] = unix_pair();
  CHECK(sockets::peer_of(one.get())->text() == "unix:");
}

TEST_CASE("a name that can't be had says of what") {
  const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::string number = std::to_string(fd.get());
  CHECK(sockets::peer_of(fd.get()).error().text() ==
        "getpeername of descriptor " + number + ": ENOTCONN: Transport endpoint is not connected");
  CHECK(sockets::name_of(-1).error().text() ==
        "getsockname of descriptor -1: EBADF: Bad file descriptor");
}

TEST_CASE("options are set, or refused aloud") {
  auto [near, far] = tcp_pair();
  CHECK(sockets::set_no_delay(near.get(), true) == 0);
  CHECK(option(near.get(), IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(sockets::set_no_delay(near.get(), false) == 0);
  CHECK(option(near.get(), IPPROTO_TCP, TCP_NODELAY) == 0);
  CHECK(sockets::set_send_buffer(near.get(), 20'000) == 0);
  CHECK(option(near.get(), SOL_SOCKET, SO_SNDBUF) == 40'000);
  CHECK(sockets::set_receive_buffer(near.get(), 30'000) == 0);
  CHECK(option(near.get(), SOL_SOCKET, SO_RCVBUF) == 60'000);
  auto [one, other] = unix_pair();
  CHECK(sockets::set_no_delay(one.get(), true) < 0);
}

TEST_CASE("errors have named conditions") {
  CHECK(sockets::would_block(-EAGAIN));
  CHECK(sockets::would_block(-EWOULDBLOCK));
  CHECK_FALSE(sockets::would_block(0));
  CHECK_FALSE(sockets::would_block(EAGAIN));
  for (const int code :
       {ECONNRESET, EPIPE, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN}) {
    CHECK(sockets::peer_gone(-code));
    CHECK_FALSE(sockets::peer_gone(code));
  }
  CHECK_FALSE(sockets::peer_gone(-EAGAIN));
  CHECK_FALSE(sockets::peer_gone(-EBADF));
  CHECK_FALSE(sockets::peer_gone(0));
}
