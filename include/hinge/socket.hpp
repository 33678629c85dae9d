// One system call each: >= 0 or -errno out, nothing retried, nothing hidden. The level below
// everything that reads or writes a connection.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/fd.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

struct iovec;  // <sys/uio.h>

namespace hinge::sockets {

/// A new SOCK_STREAM socket for addresses of a family: non-blocking and closed on exec. The caller
/// owns it. -EAFNOSUPPORT for family::none.
HINGE_API int open_stream(family of) noexcept;

/// bind(2), connect(2): 0 or -errno. On a non-blocking socket connect says -EINPROGRESS (TCP) or
/// -EAGAIN (Unix, the backlog is full).
HINGE_API int bind(int fd, const address& to) noexcept;
HINGE_API int connect(int fd, const address& to) noexcept;

/// recv(2), without waiting: bytes, 0 when the peer has ended its side, or -errno.
HINGE_API int receive(int fd, std::span<std::byte> into) noexcept;

/// send(2), without waiting and without SIGPIPE: bytes taken, or -errno. `more_follows` is
/// MSG_MORE: the bytes wait for a full packet or the close, so that a last reply and the FIN share
/// one packet; without effect where the system has no such flag (BSD, macOS). Where it has no
/// MSG_NOSIGNAL either, only sockets that hinge has made or accepted raise no SIGPIPE.
HINGE_API int send(int fd, std::span<const std::byte> bytes, bool more_follows = false) noexcept;

/// sendmsg(2) of several pieces at once; as send().
HINGE_API int send_pieces(int fd, std::span<const iovec> pieces, bool more_follows) noexcept;

/// shutdown(2) of the writing side: the peer reads its end.
HINGE_API int shutdown_write(int fd) noexcept;

/// close(2). Never repeat it: after -EINTR the descriptor is gone too (Linux).
HINGE_API int close(int fd) noexcept;
/// close(2) where nothing could be done about a failure.
HINGE_API void close_unchecked(int fd) noexcept;

/// Makes the next close a reset (SO_LINGER with 0 s): no TIME_WAIT, unread bytes destroyed on both
/// sides.
HINGE_API int reset_on_close(int fd) noexcept;

/// Reads and clears SO_ERROR: the pending errno (positive), 0 when there is none, or -errno.
HINGE_API int pending_error(int fd) noexcept;
/// Whether poll(2) says now that there is something to receive, or an end.
HINGE_API bool readable(int fd) noexcept;

/// TCP_NODELAY: small segments leave at once. -EOPNOTSUPP or -ENOPROTOOPT on a Unix socket. An
/// accepted socket has its listener's (listener_options::no_delay), which costs no call per
/// connection.
HINGE_API int set_no_delay(int fd, bool on) noexcept;

/// SO_SNDBUF, SO_RCVBUF in bytes, which ends the kernel's own tuning of that side. Linux doubles
/// the number for its bookkeeping and cuts it silently to net.core.wmem_max, rmem_max (socket(7)).
HINGE_API int set_send_buffer(int fd, int bytes) noexcept;
HINGE_API int set_receive_buffer(int fd, int bytes) noexcept;

/// getpeername(2), getsockname(2). A peer that has reset is ENOTCONN: prefer what accept told.
HINGE_API result<address> peer_of(int fd) noexcept;
HINGE_API result<address> name_of(int fd) noexcept;

/// True for EAGAIN and EWOULDBLOCK, given as -errno: nothing there yet.
constexpr bool would_block(int code) noexcept { return code == -EAGAIN || code == -EWOULDBLOCK; }

/// True for the errnos (given as -errno) by which a peer's reset or disappearance shows itself.
constexpr bool peer_gone(int code) noexcept {
  switch (-code) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return true;
  }
  return false;
}

}  // namespace hinge::sockets
