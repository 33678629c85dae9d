// A kqueue on Linux is a library's, on epoll: a filter may kill for what it does underneath.
#include <sys/syscall.h>

#include <array>

#include "confinement.hpp"
#include "seccomp.hpp"

namespace hinge {

result<void> survives_kqueue() noexcept {
  // What libkqueue's sources call, of which an older one takes the former of two. The thread that
  // looks after its queues is one of the first kqueue(2).
  static constexpr std::array calls = {
      kernel_call{"epoll_create1", SYS_epoll_create1},
#ifdef SYS_epoll_create
      kernel_call{"epoll_create", SYS_epoll_create},
#endif
#ifdef SYS_pipe
      kernel_call{"pipe", SYS_pipe},
#endif
      kernel_call{"pipe2", SYS_pipe2, {0, -1}},
      kernel_call{"fcntl", SYS_fcntl},
#ifdef SYS_clone3
      kernel_call{"clone3", SYS_clone3, {0}},
#endif
      kernel_call{"gettid", SYS_gettid},
      kernel_call{"rt_sigtimedwait", SYS_rt_sigtimedwait},
      kernel_call{"epoll_ctl", SYS_epoll_ctl},
#ifdef SYS_epoll_wait
      kernel_call{"epoll_wait", SYS_epoll_wait},
#else
      kernel_call{"epoll_wait", SYS_epoll_pwait},
#endif
      kernel_call{"ppoll", SYS_ppoll, {0, -1}},  // more descriptors than there can be
      kernel_call{"eventfd", SYS_eventfd2, {0, -1}},
      kernel_call{"getsockopt", SYS_getsockopt},
      kernel_call{"ioctl", SYS_ioctl},
  };
  return survives("kqueue:", calls);
}

}  // namespace hinge
