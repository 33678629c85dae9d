// What stands behind what Linux doesn't have. The functions replace libc's of the same names in
// each program of the masked build.
//
// SO_NOSIGPIPE (macOS, FreeBSD, NetBSD): the socket is noted, and send(2) and sendmsg(2) raise no
// SIGPIPE on sockets that are noted, and on no others: a socket that was forgotten kills its
// program, as there.
// SO_REUSEPORT_LB (FreeBSD): Linux's SO_REUSEPORT.
// TCP_KEEPALIVE (macOS): Linux's TCP_KEEPIDLE.
// getpeereid(3) (all four): Linux's SO_PEERCRED.
// SO_LISTENQLIMIT and SO_LISTENQLEN (FreeBSD), of TCP: what TCP_INFO says on Linux.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define SO_NOSIGPIPE 0x10800
#define SO_REUSEPORT_LB 0x10000
#define TCP_KEEPALIVE 0x10010
#ifdef HINGE_MASK_EPOLL
#define SO_LISTENQLIMIT 0x11011
#define SO_LISTENQLEN 0x11012
#endif

namespace hinge::mask {

/// The cookie of the socket that was noted under a descriptor: numbers are reused, cookies aren't.
inline std::atomic<std::uint64_t> noted[1 << 16];

inline int ask(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  return static_cast<int>(::syscall(SYS_getsockopt, fd, level, option, value, length));
}

inline std::uint64_t cookie_of(int fd) noexcept {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return ask(fd, SOL_SOCKET, MASKED_SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

inline int flags_for(int fd, int flags) noexcept {
  const int before = errno;
  const std::uint64_t cookie = cookie_of(fd);
  errno = before;
  return cookie != 0 && noted[fd] == cookie ? flags | MASKED_MSG_NOSIGNAL : flags;
}

inline int on_linux(int level, int option) noexcept {
  if (level == SOL_SOCKET && option == SO_REUSEPORT_LB) return SO_REUSEPORT;
  return level == IPPROTO_TCP && option == TCP_KEEPALIVE ? int{MASKED_TCP_KEEPIDLE} : option;
}

inline int ask_queue(int fd, bool limit, void* value, socklen_t* length) noexcept {
  masked_tcp_info facts{};
  socklen_t known = sizeof facts;
  if (ask(fd, IPPROTO_TCP, MASKED_TCP_INFO, &facts, &known) != 0) return -1;
  *static_cast<unsigned*>(value) = limit ? facts.tcpi_sacked : facts.tcpi_unacked;
  *length = sizeof(unsigned);
  return 0;
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
  return static_cast<int>(
      ::syscall(SYS_setsockopt, fd, level, hinge::mask::on_linux(level, option), value, length));
}

inline ssize_t send(int fd, const void* from, size_t length, int flags) {
  return ::syscall(SYS_sendto, fd, from, length, hinge::mask::flags_for(fd, flags), nullptr, 0);
}

inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return ::syscall(SYS_sendmsg, fd, message, hinge::mask::flags_for(fd, flags));
}

inline int getpeereid(int fd, uid_t* user, gid_t* group) {
  masked_ucred peer;
  socklen_t length = sizeof peer;
  if (hinge::mask::ask(fd, SOL_SOCKET, MASKED_SO_PEERCRED, &peer, &length) != 0) return -1;
  *user = peer.uid;
  *group = peer.gid;
  return 0;
}

inline int getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
#ifdef HINGE_MASK_EPOLL
  if (level == SOL_SOCKET && (option == SO_LISTENQLIMIT || option == SO_LISTENQLEN))
    return hinge::mask::ask_queue(fd, option == SO_LISTENQLIMIT, value, length);
#endif
  return hinge::mask::ask(fd, level, hinge::mask::on_linux(level, option), value, length);
}

#ifdef HINGE_MASK_EPOLL

inline int open(const char* path, int flags, ...) {
  if (std::strncmp(path, "/proc/", 6) == 0) {
    errno = ENOENT;
    return -1;
  }
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0;
  va_end(rest);
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

#endif
}
