// What stands behind the options that Linux doesn't have. The functions replace libc's of the same
// names in each program of the masked build.
//
// SO_NOSIGPIPE (macOS, FreeBSD, NetBSD): the socket is noted, and send(2) and sendmsg(2) raise no
// SIGPIPE on sockets that are noted, and on no others: a socket that was forgotten kills its
// program, as there.
// SO_REUSEPORT_LB (FreeBSD): Linux's SO_REUSEPORT.
#pragma once

#include <atomic>
#include <cstdint>

#define SO_NOSIGPIPE 0x10800
#define SO_REUSEPORT_LB 0x10000

namespace hinge::mask {

/// The cookie of the socket that was noted under a descriptor: numbers are reused, cookies aren't.
inline std::atomic<std::uint64_t> noted[1 << 16];

inline std::uint64_t cookie_of(int fd) noexcept {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return ::syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

inline int flags_for(int fd, int flags) noexcept {
  const int before = errno;
  const std::uint64_t cookie = cookie_of(fd);
  errno = before;
  return cookie != 0 && noted[fd] == cookie ? flags | MASKED_MSG_NOSIGNAL : flags;
}

}  // namespace hinge::mask

extern "C" {

inline int setsockopt(int fd, int level, int option, const void* value, socklen_t length) noexcept {
  if (level == SOL_SOCKET && option == SO_NOSIGPIPE) {
    const std::uint64_t cookie = hinge::mask::cookie_of(fd);
    if (cookie == 0) return -1;
    hinge::mask::noted[fd] = cookie;
    return 0;
  }
  const bool balanced = level == SOL_SOCKET && option == SO_REUSEPORT_LB;
  return static_cast<int>(
      ::syscall(SYS_setsockopt, fd, level, balanced ? SO_REUSEPORT : option, value, length));
}

inline ssize_t send(int fd, const void* from, size_t length, int flags) {
  return ::syscall(SYS_sendto, fd, from, length, hinge::mask::flags_for(fd, flags), nullptr, 0);
}

inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return ::syscall(SYS_sendmsg, fd, message, hinge::mask::flags_for(fd, flags));
}
}
