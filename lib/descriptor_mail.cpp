#include "descriptor_mail.hpp"

#include <hinge/listener_passing.hpp>
#include <hinge/socket.hpp>

#include "peer_credentials.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace hinge {
namespace {

#ifdef MSG_CMSG_CLOEXEC
constexpr int close_on_exec = MSG_CMSG_CLOEXEC;
#else
constexpr int close_on_exec = 0;
#endif

constexpr std::size_t room_for_descriptors = CMSG_SPACE(passed_at_once * sizeof(int));

}  // namespace

descriptor_mail::descriptor_mail(int stream, const char* call, nanoseconds patience) noexcept
    : stream_(stream), call_(call), until_(deadline::after(now(), patience)) {}

result<void> descriptor_mail::check() const noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  int code = sys::getsockopt(stream_, SOL_SOCKET, SO_TYPE, &type, &length);
  if (code < 0) return fail(call_, "the stream", -code);
  const result<address> name = sockets::name_of(stream_);
  if (!name) return fail(name);
  if (type != SOCK_STREAM || !name->is_unix()) return fail(call_, "no Unix stream", EPROTOTYPE);
  code = check_peer(stream_);
  if (code == -EPERM) return fail(call_, "the peer is another user's", EPERM);
  if (code < 0) return fail(call_, "the peer's user", -code);
  code = stream_socket::forbid_signal(stream_);
  if (code < 0) return fail(call_, "SO_NOSIGPIPE", -code);
  return {};
}

result<void> descriptor_mail::wait(short what) noexcept {
  for (;;) {
    const instant at = now();
    if (until_.passed(at)) return fail(call_, "the peer takes too long", ETIMEDOUT);
    pollfd asked{.fd = stream_, .events = what, .revents = 0};
    const int ready = sys::poll(&asked, 1, until_.milliseconds_from(at));
    if (ready > 0) return {};
    if (ready < 0 && ready != -EINTR) return fail(call_, "poll", -ready);
  }
}

result<void> descriptor_mail::send(std::span<const std::byte> bytes,
                                   std::span<const int> fds) noexcept {
  alignas(cmsghdr) std::array<std::byte, room_for_descriptors> control{};
  while (!bytes.empty()) {
    iovec piece{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen =
          static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(fds.size_bytes()));
      cmsghdr* const head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = static_cast<decltype(head->cmsg_len)>(CMSG_LEN(fds.size_bytes()));
      std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
    }
    const ssize_t sent = sys::sendmsg(stream_, &message, MSG_DONTWAIT | stream_socket::no_signal);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
      fds = {};  // on their way
    } else if (sockets::would_block(static_cast<int>(sent))) {
      if (result<void> room = wait(POLLOUT); !room) return room;
    } else if (sent != -EINTR) {
      return fail(call_, "sendmsg", static_cast<int>(-sent));
    }
  }
  return {};
}

// Bytes, 0 at the end, or -errno. Whatever came with them is this object's.
int descriptor_mail::receive_some(std::span<std::byte> into) noexcept {
  alignas(cmsghdr) std::array<std::byte, room_for_descriptors> control{};
  iovec piece{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = static_cast<decltype(message.msg_controllen)>(control.size());
  const ssize_t count = sys::recvmsg(stream_, &message, MSG_DONTWAIT | close_on_exec);
  if (count < 0) return static_cast<int>(count);
  int failed = 0;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t descriptors = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < descriptors; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(one) + i * sizeof fd, sizeof fd);
      arrived_.emplace_back(fd);
      const int code = close_on_exec == 0 ? sys::fcntl(fd, F_SETFD, FD_CLOEXEC) : 0;
      failed = std::min(failed, code);
    }
  }
  // The room is for as many as one message can have: what was cut off had no number left.
  if ((message.msg_flags & MSG_CTRUNC) != 0) return -EMFILE;
  if (arrived_.size() > passed_at_once) return -EPROTO;
  return failed < 0 ? failed : static_cast<int>(count);
}

result<void> descriptor_mail::receive(std::span<std::byte> into) noexcept {
  while (!into.empty()) {
    const int count = receive_some(into);
    if (count > 0) {
      into = into.subspan(static_cast<std::size_t>(count));
    } else if (count == 0) {
      return fail(call_, "the peer has ended it before the last", ECONNRESET);
    } else if (count == -EMFILE) {
      return fail(call_, "descriptors that don't fit below the limit", EMFILE);
    } else if (sockets::would_block(count)) {
      if (result<void> came = wait(POLLIN); !came) return came;
    } else if (count != -EINTR) {
      return fail(call_, "recvmsg", -count);
    }
  }
  return {};
}

}  // namespace hinge
