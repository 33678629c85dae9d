#include <hinge/epoll.hpp>

#include <sys/syscall.h>

#include <array>

#include "backend_probe.hpp"
#include "seccomp.hpp"
#include "wake_probe.hpp"

namespace hinge {

void ask_epoll(backend_verdict& into) noexcept {
  ask_by_wake<epoll_poller>(into, "epoll_wait", [](backend_verdict& said) noexcept {
    static constexpr std::array<kernel_call, 4> calls = {{
        {"epoll_create1", SYS_epoll_create1},
        {"epoll_ctl", SYS_epoll_ctl},
#ifdef SYS_epoll_wait
        {"epoll_wait", SYS_epoll_wait},
#else
        {"epoll_wait", SYS_epoll_pwait},
#endif
        {"eventfd", SYS_eventfd2, {0, -1}},
    }};
    said.usable = survives("epoll:", calls);
  });
}

}  // namespace hinge
