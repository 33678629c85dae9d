// The room for what a system lacks to make or accept a stream socket in one call: accept4(2), flags
// in the type of socket(2), and MSG_NOSIGNAL. However it is made, the descriptor is non-blocking,
// closed on exec, and raises no SIGPIPE when hinge sends on it.
#pragma once

#include <hinge/time.hpp>

#include "sys.hpp"

namespace hinge::stream_socket {

/// O_NONBLOCK beside `other` file flags, and FD_CLOEXEC: 0 or -errno.
int set_flags(int fd, int other) noexcept;

/// For send(2) and sendmsg(2).
#ifdef MSG_NOSIGNAL
inline constexpr int no_signal = MSG_NOSIGNAL;
#else
inline constexpr int no_signal = 0;  // see forbid_signal()
#endif

/// SO_NOSIGPIPE where there is no MSG_NOSIGNAL: 0 or -errno.
int forbid_signal(int fd) noexcept;

/// A new socket, or the -errno of the call that failed.
int open(int domain, int type = SOCK_STREAM) noexcept;

/// Does to an accepted descriptor what the accept has left out. A failure is this connection's, and
/// the errno of another call says nothing about the listener: `fd` is closed then, and the answer
/// is -ECONNABORTED.
int complete(int fd) noexcept;

/// How long ago the kernel last sent bytes to a TCP peer who acknowledges them. max(): it doesn't,
/// or the system doesn't tell.
nanoseconds sent_ago(int fd) noexcept;

/// A connection of a listening descriptor, or accept's -errno. `from` stays of AF_UNSPEC when the
/// system tells a length of 0, as macOS does for a peer that has gone.
inline int accept_one(int listener, sockaddr_storage& from) noexcept {
  from.ss_family = AF_UNSPEC;
  socklen_t length = sizeof from;
  auto* const name = reinterpret_cast<sockaddr*>(&from);
#ifdef HINGE_HAVE_ACCEPT4
  const int fd = sys::accept4(listener, name, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  const int fd = sys::accept(listener, name, &length);
#endif
#if defined HINGE_HAVE_ACCEPT4 && defined MSG_NOSIGNAL
  return fd;
#else
  return fd < 0 ? fd : complete(fd);
#endif
}

}  // namespace hinge::stream_socket
