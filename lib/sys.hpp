// The one door to the system: every system call of the library goes through here and returns what
// the call returns, with -errno in place of -1. In a build with HINGE_SYS_SEAM (tests only) each
// goes through a table, so that a test can make the n-th call fail with any errno, or put a
// simulated network underneath.
#pragma once

// Some systems' <net/if.h> needs it before.
#include <sys/socket.h>

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef HINGE_HAVE_EPOLL
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif
#ifdef HINGE_HAVE_KQUEUE
#include <sys/event.h>
#endif

#include <cerrno>
#include <cstddef>

#ifdef HINGE_HAVE_KQUEUE
namespace hinge::sys {
/// A struct that has the name of a function.
using kernel_event = struct ::kevent;
template <class Count>
Count count_type(int (*)(int, const kernel_event*, Count, kernel_event*, Count, const timespec*));
/// What kevent(2) counts in: int, and on NetBSD std::size_t.
using kernel_count = decltype(count_type(&::kevent));

#ifdef HINGE_SYS_SEAM
#define HINGE_SYS_FACT inline bool
#else
#define HINGE_SYS_FACT inline constexpr bool
#endif
/// Whether kevent(2) is libkqueue's, on Linux. It differs: a trigger of EVFILT_USER takes locks,
/// which a signal handler must not; `data` doesn't count what lies behind urgent data; and a
/// registration outlives its descriptor. Tests set it.
#if defined HINGE_LIBKQUEUE || defined EVFILT_LIBKQUEUE
HINGE_SYS_FACT on_libkqueue = true;
#else
HINGE_SYS_FACT on_libkqueue = false;
#endif
#undef HINGE_SYS_FACT
}  // namespace hinge::sys
#endif

// One row a call: what it returns, its name, its parameters, its arguments.
// clang-format off
#ifdef HINGE_HAVE_EPOLL
#define HINGE_SYS_EPOLL_CALLS(X) \
  X(int, epoll_create1, (int flags), (flags))                                                    \
  X(int, epoll_ctl, (int epoll, int what, int fd, epoll_event* wanted), (epoll, what, fd, wanted))\
  X(int, epoll_wait, (int epoll, epoll_event* into, int room, int milliseconds),                 \
    (epoll, into, room, milliseconds))                                                           \
  X(int, eventfd, (unsigned count, int flags), (count, flags))                                   \
  X(long, syscall, (long number, long a, long b, long c, long d, long e, long f),                \
    (number, a, b, c, d, e, f))                                                                  \
  X(int, clone, (int (*run)(void*), void* stack, int flags, void* with), (run, stack, flags, with))\

#else
#define HINGE_SYS_EPOLL_CALLS(X)
#endif
#ifdef HINGE_HAVE_KQUEUE
#define HINGE_SYS_KQUEUE_CALLS(X) \
  X(int, kqueue, (), ())                                                                         \
  X(int, kevent,                                                                                 \
    (int queue, const hinge::sys::kernel_event* changes, hinge::sys::kernel_count change_count,  \
     hinge::sys::kernel_event* into, hinge::sys::kernel_count room, const timespec* wait),       \
    (queue, changes, change_count, into, room, wait))                                            \

#else
#define HINGE_SYS_KQUEUE_CALLS(X)
#endif
#ifdef HINGE_HAVE_ACCEPT4
#define HINGE_SYS_ACCEPT(X) \
  X(int, accept4, (int fd, sockaddr* name, socklen_t* length, int flags),                        \
    (fd, name, length, flags))
#else
#define HINGE_SYS_ACCEPT(X) \
  X(int, accept, (int fd, sockaddr* name, socklen_t* length), (fd, name, length))
#endif

#ifdef HINGE_HAVE_GETPEEREID
#define HINGE_SYS_PEER(X) \
  X(int, getpeereid, (int fd, uid_t* user, gid_t* group), (fd, user, group))
#else
#define HINGE_SYS_PEER(X)
#endif

#define HINGE_SYS_CALLS(X) \
  X(int, socket, (int domain, int type, int protocol), (domain, type, protocol))                 \
  X(int, bind, (int fd, const sockaddr* name, socklen_t length), (fd, name, length))             \
  X(int, connect, (int fd, const sockaddr* name, socklen_t length), (fd, name, length))          \
  X(int, listen, (int fd, int backlog), (fd, backlog))                                           \
  HINGE_SYS_ACCEPT(X)                                                                            \
  X(int, getsockname, (int fd, sockaddr* name, socklen_t* length), (fd, name, length))           \
  X(int, getpeername, (int fd, sockaddr* name, socklen_t* length), (fd, name, length))           \
  X(int, setsockopt, (int fd, int level, int option, const void* value, socklen_t length),       \
    (fd, level, option, value, length))                                                          \
  X(int, getsockopt, (int fd, int level, int option, void* value, socklen_t* length),            \
    (fd, level, option, value, length))                                                          \
  X(ssize_t, recv, (int fd, void* into, std::size_t length, int flags), (fd, into, length, flags))\
  X(ssize_t, send, (int fd, const void* from, std::size_t length, int flags),                    \
    (fd, from, length, flags))                                                                   \
  X(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))          \
  X(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))                \
  X(int, shutdown, (int fd, int how), (fd, how))                                                 \
  X(int, close, (int fd), (fd))                                                                  \
  X(ssize_t, read, (int fd, void* into, std::size_t length), (fd, into, length))                 \
  X(ssize_t, write, (int fd, const void* from, std::size_t length), (fd, from, length))          \
  X(int, fcntl, (int fd, int what, int argument), (fd, what, argument))                          \
  X(int, pipe, (int* ends), (ends))                                                              \
  X(int, poll, (pollfd* of, nfds_t count, int milliseconds), (of, count, milliseconds))          \
  X(int, unlink, (const char* path), (path))                                                     \
  X(int, lstat, (const char* path, struct stat* into), (path, into))                             \
  X(int, open, (const char* path, int flags), (path, flags))                                     \
  X(int, fchmodat, (int folder, const char* path, mode_t mode, int flags),                       \
    (folder, path, mode, flags))                                                                 \
  X(int, fchownat, (int folder, const char* path, uid_t owner, gid_t group, int flags),          \
    (folder, path, owner, group, flags))                                                         \
  X(unsigned, if_nametoindex, (const char* name), (name))                                        \
  X(char*, if_indextoname, (unsigned index, char* into), (index, into))                          \
  X(int, getrlimit, (int what, rlimit* into), (what, into))                                      \
  X(int, clock_gettime, (clockid_t clock, timespec* into), (clock, into))                        \
  X(pid_t, getpid, (), ())                                                                       \
  X(uid_t, geteuid, (), ())                                                                      \
  HINGE_SYS_PEER(X)                                                                              \
  HINGE_SYS_EPOLL_CALLS(X)                                                                       \
  HINGE_SYS_KQUEUE_CALLS(X)

// clang-format on

namespace hinge::sys {

/// For what a signal handler may call: errno is in the end what it was.
class errno_kept {
public:
  errno_kept() noexcept = default;
  ~errno_kept() { errno = before_; }
  errno_kept(const errno_kept&) = delete;
  errno_kept& operator=(const errno_kept&) = delete;

private:
  const int before_ = errno;
};

template <class Integer>
inline Integer fold(Integer returned) noexcept {
  return returned < 0 ? static_cast<Integer>(-errno) : returned;
}
// The calls that say 0 or null for "no": the reason stays in errno.
inline unsigned fold(unsigned returned) noexcept { return returned; }
inline char* fold(char* returned) noexcept { return returned; }

#ifdef HINGE_SYS_SEAM

/// A function pointer for each call, with the folded result. Set `current` before a loop runs; it
/// is not synchronised.
struct call_table {
#define HINGE_SYS_MEMBER(returned, name, parameters, arguments) returned(*name) parameters noexcept;
  HINGE_SYS_CALLS(HINGE_SYS_MEMBER)
#undef HINGE_SYS_MEMBER
};

/// The system's own calls.
extern const call_table real;
/// The table in force; `real` unless a test has changed it.
extern call_table current;

#define HINGE_SYS_CALL(returned, name, parameters, arguments) \
  inline returned name parameters noexcept { return current.name arguments; }
#else
#define HINGE_SYS_CALL(returned, name, parameters, arguments) \
  inline returned name parameters noexcept { return fold(::name arguments); }
#endif

HINGE_SYS_CALLS(HINGE_SYS_CALL)
#undef HINGE_SYS_CALL

}  // namespace hinge::sys
