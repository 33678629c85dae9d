#include "stream_socket.hpp"

#include <hinge/fd.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <chrono>

namespace hinge::stream_socket {

int set_flags(int fd, int other) noexcept {
  const int code = sys::fcntl(fd, F_SETFL, other | O_NONBLOCK);
  return code < 0 ? code : sys::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int forbid_signal([[maybe_unused]] int fd) noexcept {
#ifdef MSG_NOSIGNAL
  return 0;
#else
  const int on = 1;
  return sys::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

int open(int domain, int type) noexcept {
#if defined SOCK_NONBLOCK && defined SOCK_CLOEXEC
  unique_fd made(sys::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return made.get();
  int code = 0;
#else
  unique_fd made(sys::socket(domain, type, 0));
  if (!made) return made.get();
  int code = set_flags(made.get(), 0);
#endif
  if (code >= 0) code = forbid_signal(made.get());
  return code < 0 ? code : made.release();
}

int complete(int fd) noexcept {
  unique_fd accepted(fd);
#ifndef HINGE_HAVE_ACCEPT4
  // BSD and macOS copy O_NONBLOCK from the listener, others don't: it is set in any case.
  if (set_flags(fd, 0) < 0) return -ECONNABORTED;
#endif
  // macOS says EINVAL when the peer has gone already; it copies the option from the listener.
  const int code = forbid_signal(fd);
  return code < 0 && code != -EINVAL ? -ECONNABORTED : accepted.release();
}

nanoseconds sent_ago([[maybe_unused]] int fd) noexcept {
#ifdef HINGE_HAVE_TCPI_LAST_DATA_SENT
  tcp_info info{};
  socklen_t length = sizeof info;
  if (sys::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) >= 0 && info.tcpi_retransmits == 0)
    return std::chrono::milliseconds(info.tcpi_last_data_sent);
#endif
  return nanoseconds::max();
}

}  // namespace hinge::stream_socket
