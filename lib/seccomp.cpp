// A filter may kill the thread or the process that makes a system call, and it can't be asked
// without making the call: so a child makes it. This is a library, and the child must not show:
//
// - No exit signal: SIGCHLD is not raised, and only a wait with __WALL or __WCLONE finds the child;
//   neither the program's waitpid(-1) nor an ignored SIGCHLD takes its status away.
// - A copy of the memory, as by fork(2), and not the memory itself, as by vfork(2): up to Linux
//   5.15 a core dump kills all processes that share it. No handlers of pthread_atfork(3) run.
// - System calls alone: other threads may have held any lock. With all signals blocked but SIGSYS,
//   so that no handler of the program runs twice.
// - No core dump, and no descriptor that outlives it. It ends with its parent.
//
// The child lends its copy of the memory to one of its own, as by vfork(2). That one makes the
// calls and counts them there; the child then says by its exit code which one was the last.
#include "seccomp.hpp"

#include <hinge/time.hpp>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fixed_text.hpp"
#include "nap.hpp"
#include "proc.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr nanoseconds longest_wait = std::chrono::seconds(1);
constexpr nanoseconds between_looks = std::chrono::microseconds(100);

/// So that nothing is left of the child, however it ends.
constexpr std::array<kernel_call, 2> prelude = {{
    {"prctl", SYS_prctl, {PR_SET_DUMPABLE}},
    {"prctl", SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
}};

long make(const kernel_call& one) noexcept {
  const auto& with = one.with;
  return sys::syscall(one.number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

using kernel_calls = std::span<const kernel_call>;

void make_all(kernel_calls calls) noexcept {
  for (const kernel_call& one : calls) make(one);
}

/// What a child does: for its own sake, and then what it is asked for.
struct errand {
  kernel_calls own;
  kernel_calls asked;
};

/// How a child ends: 0, it was all survived; the number of the call that killed by SIGSYS, from 1
/// on; with another signal this and its number.
constexpr int not_had = 127;
constexpr int by_signal = 128;

/// The calls of an errand, and how many were survived.
struct calls_made {
  const errand* sent;
  volatile int count;
};

int make_and_count(void* made) noexcept {
  auto& so_far = *static_cast<calls_made*>(made);
  make_all(so_far.sent->own);
  for (const kernel_call& one : so_far.sent->asked) {
    make(one);
    so_far.count = so_far.count + 1;
  }
  return 0;
}

[[noreturn]] void be_a_child(const errand& sent) noexcept {
  make_all(sent.own);
  alignas(16) std::array<std::byte, 16 * 1024> stack;
  calls_made made{.sent = &sent, .count = 0};
  int status = 0;
  int code = not_had;
  const int other =
      sys::clone(make_and_count, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK, &made);
  if (other > 0 &&
      sys::syscall(SYS_wait4, other, reinterpret_cast<long>(&status), __WALL, 0, 0, 0) == other) {
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    code = signal == 0 ? 0 : signal == SIGSYS ? made.count + 1 : by_signal + signal;
  }
  for (;;) sys::syscall(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

/// Its number, or -errno.
long start_child(const errand& sent) noexcept {
  const std::uint64_t blocked = ~(std::uint64_t{1} << (SIGSYS - 1));
  std::uint64_t before = 0;
  const auto mask = [](int how, const std::uint64_t& set, std::uint64_t* old) {
    sys::syscall(SYS_rt_sigprocmask, how, reinterpret_cast<long>(&set), reinterpret_cast<long>(old),
                 sizeof set, 0, 0);
  };
  mask(SIG_BLOCK, blocked, &before);
  // All zero: whatever the order of clone's arguments is on this architecture.
  const long child = sys::syscall(SYS_clone, 0, 0, 0, 0, 0, 0);
  if (child == 0) be_a_child(sent);
  mask(SIG_SETMASK, before, nullptr);
  return child;
}

/// As wait4(2): the child when it has ended, 0 when it has not, or -errno.
long look_after(long child, int& status) noexcept {
  return sys::syscall(SYS_wait4, child, reinterpret_cast<long>(&status), __WALL | WNOHANG, 0, 0, 0);
}

/// Looks until it has ended or so much time has passed. -EINTR can't be, and isn't believed.
long wait_for(long child, int& status) noexcept {
  const deadline until = deadline::after(now(), longest_wait);
  for (;;) {
    const long ended = look_after(child, status);
    if (ended != 0 || until.passed(now())) return ended;
    nap(between_looks);
  }
}

/// What became of a process that made these calls.
struct fate {
  int signal = 0;
  int survived = 0;  ///< so many of the calls that it was asked for; -1: it never came to them
};

/// Or why it isn't known.
result<fate> fate_of(const errand& sent) noexcept {
  int status = 0;
  // Who may not wait would leave a child behind for ever. Process 1 is nobody's child here.
  if (const long none = look_after(1, status); none != -ECHILD)
    return fail("wait4", "a child process", none < 0 ? static_cast<int>(-none) : ENOSYS);
  const long child = start_child(sent);
  if (child < 0) return fail("clone", "a child process", static_cast<int>(-child));
  const long ended = wait_for(child, status);
  if (ended == child) {
    if (WIFSIGNALED(status)) return fate{.signal = WTERMSIG(status), .survived = -1};
    const int code = WEXITSTATUS(status);
    if (code == not_had) return fail("clone", "a child process", EAGAIN);
    if (code > by_signal) return fate{.signal = code - by_signal};
    return code == 0 ? fate{} : fate{.signal = SIGSYS, .survived = code - 1};
  }
  sys::syscall(SYS_kill, child, SIGKILL, 0, 0, 0, 0);
  wait_for(child, status);
  if (ended < 0) return fail("wait4", "a child process", static_cast<int>(-ended));
  return fail("self-test:", "a child process", ETIMEDOUT);
}

}  // namespace

result<void> survives(const char* says, kernel_calls calls) noexcept {
  if (seccomp_mode() == 0) return {};
  result<fate> found = fate_of({.own = prelude, .asked = calls});
  // A filter that kills for the child's own sake says nothing about the calls.
  if (found && found->signal == SIGSYS && found->survived < 0)
    found = fate_of({.own = {}, .asked = calls});
  if (!found) return fail(found.error());
  // It can't do without clone(2) and wait4(2), in which a server has no part.
  if (found->signal == SIGSYS && found->survived < 0)
    return fail("clone", "a child process", EPERM);
  if (found->signal == 0) return {};
  fixed_text<64> said;
  // Nobody's filter: it may have been any process's, or the system's for want of memory.
  if (found->signal != SIGSYS)
    return fail(says, said.add("killed by signal ", found->signal).view(), EINTR);
  said.add("killed by SIGSYS");
  // The usual one goes without saying.
  if (found->survived > 0) said.add(" at ", calls[static_cast<std::size_t>(found->survived)].name);
  return fail(says, said.view(), EPERM);
}

}  // namespace hinge
