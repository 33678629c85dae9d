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
#include "seccomp.hpp"

#include <hinge/time.hpp>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <numeric>
#include <span>

#include "fixed_text.hpp"
#include "nap.hpp"
#include "proc.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr nanoseconds patience = std::chrono::seconds(1);
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

/// What a child does: for its own sake, and then what it is asked for.
struct errand {
  kernel_calls own;
  kernel_calls asked;

  std::size_t size() const noexcept { return own.size() + asked.size(); }
  const kernel_call& operator[](std::size_t place) const noexcept {
    return place < own.size() ? own[place] : asked[place - own.size()];
  }
};

/// A child that makes the first of these calls and ends; its number, or -errno.
long start_child(const errand& sent, std::size_t calls) noexcept {
  const std::uint64_t blocked = ~(std::uint64_t{1} << (SIGSYS - 1));
  std::uint64_t before = 0;
  const auto mask = [](int how, const std::uint64_t& set, std::uint64_t* old) {
    sys::syscall(SYS_rt_sigprocmask, how, reinterpret_cast<long>(&set), reinterpret_cast<long>(old),
                 sizeof set, 0, 0);
  };
  mask(SIG_BLOCK, blocked, &before);
  // All zero: whatever the order of clone's arguments is on this architecture.
  const long child = sys::syscall(SYS_clone, 0, 0, 0, 0, 0, 0);
  if (child == 0) {
    for (std::size_t made = 0; made != calls; ++made) make(sent[made]);
    for (;;) sys::syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
  }
  mask(SIG_SETMASK, before, nullptr);
  return child;
}

/// As wait4(2): the child when it has ended, 0 when it has not, or -errno.
long look_after(long child, int& status) noexcept {
  return sys::syscall(SYS_wait4, child, reinterpret_cast<long>(&status), __WALL | WNOHANG, 0, 0, 0);
}

/// Looks until it has ended or so much time has passed. -EINTR can't be, and isn't believed.
long wait_for(long child, int& status) noexcept {
  const deadline until = deadline::after(now(), patience);
  for (;;) {
    const long ended = look_after(child, status);
    if (ended != 0 || until.passed(now())) return ended;
    nap(between_looks);
  }
}

/// The signal that has ended a child which made the first of these calls, 0, or why it isn't known.
result<int> fate_of(const errand& sent, std::size_t calls) noexcept {
  int status = 0;
  // Who may not wait would leave a child behind for ever. Process 1 is nobody's child here.
  if (const long none = look_after(1, status); none != -ECHILD)
    return fail("wait4", "a child process", none < 0 ? static_cast<int>(-none) : ENOSYS);
  const long child = start_child(sent, calls);
  if (child < 0) return fail("clone", "a child process", static_cast<int>(-child));
  const long ended = wait_for(child, status);
  if (ended == child) return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  sys::syscall(SYS_kill, child, SIGKILL, 0, 0, 0, 0);
  wait_for(child, status);
  if (ended < 0) return fail("wait4", "a child process", static_cast<int>(-ended));
  return fail("self-test:", "a child process", ETIMEDOUT);
}

/// The place of the call that killed who made all of them. Each child costs a fork.
std::size_t deadly(const errand& sent) noexcept {
  std::size_t survived = 0;
  std::size_t too_many = sent.size();
  while (too_many - survived > 1) {
    const std::size_t calls = std::midpoint(survived, too_many);
    const result<int> fate = fate_of(sent, calls);
    (fate && *fate == 0 ? survived : too_many) = calls;
  }
  return survived;
}

}  // namespace

result<void> survives(const char* says, kernel_calls calls) noexcept {
  if (seccomp_mode() == 0) return {};
  errand sent{.own = prelude, .asked = calls};
  result<int> fate = fate_of(sent, sent.size());
  const auto killed = [&] { return fate && *fate == SIGSYS; };
  std::size_t last = killed() ? deadly(sent) : 0;
  // A filter that kills for the child's own sake says nothing about the calls.
  if (killed() && last < sent.own.size()) {
    sent.own = {};
    fate = fate_of(sent, sent.size());
    last = killed() ? deadly(sent) : 0;
  }
  if (!fate) return fail(fate.error());
  if (*fate == 0) return {};
  fixed_text<64> said;
  // Nobody's filter: it may have been any process's, or the system's for want of memory.
  if (*fate != SIGSYS) return fail(says, said.add("killed by signal ", *fate).view(), EINTR);
  said.add("killed by SIGSYS");
  // The usual one goes without saying.
  if (sent[last].number != calls.front().number) said.add(" at ", sent[last].name);
  return fail(says, said.view(), EPERM);
}

}  // namespace hinge
