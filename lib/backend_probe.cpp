#include "backend_probe.hpp"

#include <hinge/any_poller.hpp>
#ifdef HINGE_HAVE_EPOLL
#include <hinge/epoll.hpp>

#include <sys/syscall.h>
#endif
#ifdef HINGE_HAVE_KQUEUE
#include <hinge/kqueue.hpp>
#endif

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <string_view>

#include "fixed_text.hpp"
#include "sys.hpp"
#ifdef HINGE_HAVE_EPOLL
#include "seccomp.hpp"
#endif

namespace hinge {

namespace {

constexpr nanoseconds child_patience = std::chrono::seconds(1);

/// Whether it opens, and hears its own wake-up in a turn; `waits`: the call that a turn makes.
template <poller Concrete>
result<void> hears_a_wake(const char* waits) noexcept {
  Concrete tried;
  if (result<void> opened = tried.open({.connections = 1, .accepts_per_turn = 1}); !opened)
    return opened;
  tried.wake();
  std::array<event, least_event_room> events;
  turn_terms terms{.until = deadline::after(now(), child_patience)};
  for (;;) {
    const int count = tried.turn({}, events, terms);
    if (count < 0) return fail(waits, "a wake-up", -count);
    if (count > 0) return {};
    if (terms.until.passed(now())) return fail("self-test:", "a wake-up", ETIMEDOUT);
  }
}

bool may_pass(int code) noexcept {
  constexpr std::array passing = {ENOMEM, ENOBUFS, EMFILE,    ENFILE,
                                  EAGAIN, EINTR,   ETIMEDOUT, ECHILD};
  return std::find(passing.begin(), passing.end(), code) != passing.end();
}

text_writer& next(text_writer& out) noexcept { return out.add(out.view().empty() ? "" : ", "); }

/// A limit of the process that a call runs into with an errno, unless a capability lifts it.
struct limit_met {
  int code;
  std::string_view calls;  // their beginning
  const char* name;
  int which;
  int lifted_by = -1;
};
// The numbers of capabilities: CAP_IPC_LOCK and CAP_SYS_RESOURCE of capabilities(7).
constexpr std::array<limit_met, 3> limits_met = {{
    {ENOMEM, "io_uring_", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, 14},
    {EMFILE, "", "RLIMIT_NOFILE", RLIMIT_NOFILE},
    {EAGAIN, "clone", "RLIMIT_NPROC", RLIMIT_NPROC, 24},
}};

bool holds([[maybe_unused]] const limit_met& one) noexcept {
#ifdef HINGE_HAVE_EPOLL
  return one.lifted_by < 0 || !is_capable(one.lifted_by);
#else
  return true;
#endif
}

}  // namespace

void look_around(backend_verdict& refused) noexcept {
  // The last character stays null.
  refused.circumstances = {};
  text_writer out(std::span(refused.circumstances).first(refused.circumstances.size() - 1));
  const int code = refused.usable.error().code();
  const std::string_view call = refused.usable.error().call();
  for (const limit_met& one : limits_met) {
    rlimit limit;
    if (code == one.code && call.starts_with(one.calls) && holds(one) &&
        sys::getrlimit(one.which, &limit) >= 0 && limit.rlim_cur != RLIM_INFINITY)
      next(out).add(one.name, '=', limit.rlim_cur);
  }
#ifdef HINGE_HAVE_EPOLL
  if (const int off = uring_disabled(); code == EPERM && call == "io_uring_setup" && off > 0)
    next(out).add("kernel.io_uring_disabled=", off);
  if (seccomp_mode() == seccomp_filtered) next(out).add("seccomp mode 2");
#endif
}

void remembered_verdict::ask(backend_verdict& into,
                             void (*test)(backend_verdict& into) noexcept) noexcept {
  const std::lock_guard lock(guard_);
  if (known_) {
    into = *known_;
    return;
  }
  test(into);
  if (!into.usable) look_around(into);
  if (into.usable || !may_pass(into.usable.error().code())) known_ = into;
}

void remembered_verdict::forget() noexcept {
  const std::lock_guard lock(guard_);
  known_.reset();
}

#ifdef HINGE_HAVE_EPOLL
void ask_epoll(backend_verdict& into) noexcept {
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
  // A filter that kills never goes away again, and to ask costs a child. Whether there is a
  // descriptor to be had is another matter, and costs some microseconds. Where no child can be had
  // epoll is tried all the same: there is nothing safer to fall back to.
  static remembered_verdict filtered;
  filtered.ask(into, [](backend_verdict& said) noexcept {
    said.usable = survives("epoll:", calls);
    if (said.usable) return;
    const std::string_view call = said.usable.error().call();
    if (call == "clone" || call == "wait4") said.usable = {};
  });
  if (!into.usable) return;
  into.usable = hears_a_wake<epoll_poller>("epoll_wait");
  if (!into.usable) look_around(into);
}
#endif

#ifdef HINGE_HAVE_KQUEUE
void ask_kqueue(backend_verdict& into) noexcept {
  into.usable = hears_a_wake<kqueue_poller>("kevent");
  if (!into.usable) look_around(into);
}
#endif

}  // namespace hinge
