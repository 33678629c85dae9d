#include <hinge/socket.hpp>

#include "fixed_text.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace hinge::sockets {
namespace {

#ifdef MSG_MORE
constexpr int more = MSG_MORE;
#else
constexpr int more = 0;  // a last reply and the FIN are two packets then
#endif

constexpr int sending_flags(bool more_follows) noexcept {
  return MSG_DONTWAIT | stream_socket::no_signal | (more_follows ? more : 0);
}

int set_number(int fd, int level, int option, int number) noexcept {
  return sys::setsockopt(fd, level, option, &number, sizeof number);
}

result<address> ask_name(const char* call, int fd,
                         int (*ask)(int, sockaddr*, socklen_t*) noexcept) noexcept {
  sockaddr_storage name;
  socklen_t length = sizeof name;
  const int code = ask(fd, reinterpret_cast<sockaddr*>(&name), &length);
  if (code < 0) return fail(call, fixed_text<32>().add("of descriptor ", fd).view(), -code);
  return address::from_kernel(reinterpret_cast<const sockaddr*>(&name), length);
}

// An address in the kernel's form.
struct kernel_name {
  explicit kernel_name(const address& of) noexcept
      : length(static_cast<socklen_t>(of.to_kernel(bytes))) {}
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(bytes.data()); }

  alignas(sockaddr_storage) std::array<std::byte, address::kernel_capacity> bytes;
  socklen_t length;
};

}  // namespace

int open_stream(family of) noexcept {
  switch (of) {
    case family::none:
      return -EAFNOSUPPORT;
    case family::ipv4:
      return stream_socket::open(AF_INET);
    case family::ipv6:
      return stream_socket::open(AF_INET6);
    case family::unix_path:
    case family::unix_abstract:
    case family::unix_unnamed:
      break;
  }
  return stream_socket::open(AF_UNIX);
}

int bind(int fd, const address& to) noexcept {
  const kernel_name name(to);
  return sys::bind(fd, name.get(), name.length);
}

int connect(int fd, const address& to) noexcept {
  const kernel_name name(to);
  return sys::connect(fd, name.get(), name.length);
}

int receive(int fd, std::span<std::byte> into) noexcept {
  return static_cast<int>(sys::recv(fd, into.data(), into.size(), MSG_DONTWAIT));
}

int send(int fd, std::span<const std::byte> bytes, bool more_follows) noexcept {
  return static_cast<int>(sys::send(fd, bytes.data(), bytes.size(), sending_flags(more_follows)));
}

int send_pieces(int fd, std::span<const iovec> pieces, bool more_follows) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg(2) only reads it
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(pieces.size());
  return static_cast<int>(sys::sendmsg(fd, &message, sending_flags(more_follows)));
}

int shutdown_write(int fd) noexcept { return sys::shutdown(fd, SHUT_WR); }

int close(int fd) noexcept { return sys::close(fd); }

void close_unchecked(int fd) noexcept { sys::close(fd); }

int reset_on_close(int fd) noexcept {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  return sys::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool readable(int fd) noexcept {
  pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
  return sys::poll(&asked, 1, 0) > 0 && (asked.revents & POLLIN) != 0;
}

int pending_error(int fd) noexcept {
  int pending = 0;
  socklen_t length = sizeof pending;
  const int code = sys::getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &length);
  return code < 0 ? code : pending;
}

int set_no_delay(int fd, bool on) noexcept { return set_number(fd, IPPROTO_TCP, TCP_NODELAY, on); }

int set_send_buffer(int fd, int bytes) noexcept {
  return set_number(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

int set_receive_buffer(int fd, int bytes) noexcept {
  return set_number(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

result<address> peer_of(int fd) noexcept { return ask_name("getpeername", fd, sys::getpeername); }

result<address> name_of(int fd) noexcept { return ask_name("getsockname", fd, sys::getsockname); }

}  // namespace hinge::sockets
