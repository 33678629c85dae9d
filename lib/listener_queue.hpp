// What the system tells of a listening socket's queue, without root.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstddef>

#include "sys.hpp"

namespace hinge {

/// Connections that wait in the queue of a listening TCP socket, or -errno where the system doesn't
/// tell.
inline int waiting_on([[maybe_unused]] int fd) noexcept {
#if defined SO_LISTENQLEN  // FreeBSD
  int waiting = 0;
  socklen_t length = sizeof waiting;
  const int failed = sys::getsockopt(fd, SOL_SOCKET, SO_LISTENQLEN, &waiting, &length);
  return failed < 0 ? failed : waiting;
#elif defined HINGE_HAVE_TCPI_UNACKED  // as Linux fills it
  tcp_info info;
  socklen_t length = offsetof(tcp_info, tcpi_unacked) + sizeof info.tcpi_unacked;
  const int failed = sys::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return failed < 0 ? failed : static_cast<int>(info.tcpi_unacked);
#else
  return -ENOPROTOOPT;
#endif
}

/// What the kernel has dropped at this socket (SO_MEMINFO: sk_drops), or -errno. Of a listening TCP
/// socket: handshakes and connections that found its queue full.
inline long drops_at([[maybe_unused]] int fd) noexcept {
#ifdef SO_MEMINFO
  constexpr std::size_t drops = 8;  // SK_MEMINFO_DROPS of <linux/sock_diag.h>
  unsigned words[drops + 1] = {};
  socklen_t length = sizeof words;
  const int failed = sys::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, words, &length);
  if (failed < 0) return failed;
  return length < sizeof words ? -ENOPROTOOPT : static_cast<long>(words[drops]);
#else
  return -ENOPROTOOPT;
#endif
}

}  // namespace hinge
