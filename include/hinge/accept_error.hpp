// What an errno of accept(2) means for the listener: one table, five classes, on every backend
// alike.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>

namespace hinge {

/// What to do about a listener whose accept has failed.
enum class accept_class : std::uint8_t {
  drained,  ///< nothing waits: wait for the listener to be ready
  retry,  ///< that one connection is lost, others may wait: accept again, a bounded number of times
  exhausted,  ///< no descriptor or memory: pause; a close in this process or a timer ends the pause
  dead,       ///< this descriptor never accepts again: report once and remove the listener
  unknown,    ///< no known meaning: treated as exhausted, since a retry might spin, and counted
};

struct accept_error_row {
  int code;
  accept_class meaning;
};

/// Every errno with a known meaning, after accept(2) of Linux ("ERRORS" and "Error handling") and
/// what it quotes of POSIX. The BSDs have a subset with the same meanings, but for EOPNOTSUPP.
inline constexpr accept_error_row accept_errors[] = {
    // The queue is empty. POSIX allows either number.
    {EAGAIN, accept_class::drained},
    {EWOULDBLOCK, accept_class::drained},
    // The connection went before it was taken; EPROTO is what System V says for it.
    {ECONNABORTED, accept_class::retry},
    {EPROTO, accept_class::retry},
    {EINTR, accept_class::retry},
    // Linux hands over network errors that already wait on the new connection; the page asks that
    // these be handled by accepting again.
    {ENETDOWN, accept_class::retry},
    {ENOPROTOOPT, accept_class::retry},
    {EHOSTDOWN, accept_class::retry},
    {EHOSTUNREACH, accept_class::retry},
    {ENETUNREACH, accept_class::retry},
    {ETIMEDOUT, accept_class::retry},
#ifdef ENONET
    // Linux, which has this errno. EOPNOTSUPP is one more of them there: its other meaning, no
    // SOCK_STREAM, can't be, as listener::open makes streams and listener::adopt checks.
    {ENONET, accept_class::retry},
    {EOPNOTSUPP, accept_class::retry},
#else
    {EOPNOTSUPP, accept_class::dead},
#endif
    // Descriptors of the process, of the system; memory, or a limit on what sockets may have of it.
    {EMFILE, accept_class::exhausted},
    {ENFILE, accept_class::exhausted},
    {ENOBUFS, accept_class::exhausted},
    {ENOMEM, accept_class::exhausted},
#ifdef ENOSR
    {ENOSR, accept_class::exhausted},
#endif
    // No descriptor, not listening, no socket; EFAULT is the caller's bug and will come again.
    {EBADF, accept_class::dead},
    {EINVAL, accept_class::dead},
    {ENOTSOCK, accept_class::dead},
    {EFAULT, accept_class::dead},
};
// Not above, and so unknown: EPERM and EACCES. The page speaks of firewall rules; in today's Linux
// they come from a security module or a seccomp filter, which answers *before* a connection is
// taken from the queue (do_accept in net/socket.c): the next try would hear the same, and a retry
// would spin.

/// The class of a positive errno of accept.
constexpr accept_class classify_accept_error(int code) noexcept {
  for (const accept_error_row& row : accept_errors)
    if (row.code == code) return row.meaning;
  return accept_class::unknown;
}

constexpr std::string_view name(accept_class what) noexcept {
  switch (what) {
    case accept_class::drained:
      return "drained";
    case accept_class::retry:
      return "retry";
    case accept_class::exhausted:
      return "exhausted";
    case accept_class::dead:
      return "dead";
    case accept_class::unknown:
      break;
  }
  return "unknown";
}

}  // namespace hinge
