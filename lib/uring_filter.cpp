// A filter may kill the thread or the process that makes a system call, and it can't be asked
// without making the call: so a child makes it. This is a library, and the child must not show:
//
// - No exit signal: SIGCHLD is not raised, and only a wait with __WALL or __WCLONE finds the child;
//   neither the program's waitpid(-1) nor an ignored SIGCHLD takes its status away.
// - A copy of the memory, as by fork(2), and not the memory itself, as by vfork(2): up to Linux
//   5.15 a core dump kills all processes that share it. No handlers of pthread_atfork(3) run.
// - System calls alone: other threads may have held any lock. With all signals blocked but SIGSYS,
//   so that no handler of the program runs twice.
// - No core dump, and no descriptor: the ring that it asks for can't be made. It ends with its
//   parent.
#include "uring_filter.hpp"

#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <span>
#include <string_view>

#include "fixed_text.hpp"
#include "sys.hpp"
#include "uring_ring.hpp"

namespace hinge {

namespace {

constexpr nanoseconds patience = std::chrono::seconds(1);

/// A number in a file of the kernel's, behind `key`; -1 when it isn't there.
int number_in(const char* path, std::string_view key) noexcept {
  const unique_fd file(sys::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return -1;
  std::array<char, 4096> room;
  const ssize_t length = sys::read(file.get(), room.data(), room.size());
  const std::string_view text(room.data(), length < 0 ? 0 : static_cast<std::size_t>(length));
  const std::size_t found = text.find(key);
  if (found == text.npos) return -1;
  int number = -1;
  std::from_chars(text.data() + found + key.size(), text.data() + text.size(), number);
  return number;
}

struct kernel_call {
  const char* name;
  long number;
  long first;
  long second = 0;
};
/// With arguments that are refused by every kernel. A filter goes by the number.
constexpr std::array<kernel_call, 6> calls = {{
    {"prctl", SYS_prctl, PR_SET_DUMPABLE, 0},
    {"prctl", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL},
    {"io_uring_setup", SYS_io_uring_setup, 0},
    {"io_uring_register", SYS_io_uring_register, -1},
    {"io_uring_enter", SYS_io_uring_enter, -1},
    {"connect", SYS_connect, -1},
}};

/// A child that makes these calls and ends; its number, or -errno.
long start_child(std::span<const kernel_call> made) noexcept {
  const std::uint64_t blocked = ~(std::uint64_t{1} << (SIGSYS - 1));
  std::uint64_t before = 0;
  const auto mask = [](int how, const std::uint64_t& set, std::uint64_t* old) {
    sys::syscall(SYS_rt_sigprocmask, how, reinterpret_cast<long>(&set), reinterpret_cast<long>(old),
                 sizeof set);
  };
  mask(SIG_BLOCK, blocked, &before);
  // All zero: whatever the order of clone's arguments is on this architecture.
  const long child = sys::syscall(SYS_clone, 0, 0, 0, 0);
  if (child == 0) {
    for (const kernel_call& one : made) sys::syscall(one.number, one.first, one.second, 0, 0);
    for (;;) sys::syscall(SYS_exit_group, 0, 0, 0, 0);
  }
  mask(SIG_SETMASK, before, nullptr);
  return child;
}

/// The signal that has ended it, 0, or -errno.
int fate_of(std::span<const kernel_call> made) noexcept {
  const long child = start_child(made);
  if (child < 0) return static_cast<int>(child);
  const deadline until = deadline::after(now(), patience);
  int status = 0;
  const auto wait = [&](int how) {
    return sys::syscall(SYS_wait4, child, reinterpret_cast<long>(&status), how, 0);
  };
  for (long ended = 0; ended != child;) {
    ended = wait(__WALL | WNOHANG);
    if (ended < 0 && ended != -EINTR) return static_cast<int>(ended);
    if (ended == 0 && until.passed(now())) {
      sys::syscall(SYS_kill, child, SIGKILL, 0, 0);
      while (wait(__WALL) == -EINTR) continue;
      return -ETIMEDOUT;
    }
    if (ended == 0) sys::poll(nullptr, 0, 1);
  }
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

int seccomp_mode() noexcept { return number_in("/proc/thread-self/status", "\nSeccomp:\t"); }

int uring_disabled() noexcept { return number_in("/proc/sys/kernel/io_uring_disabled", ""); }

result<void> uring_survives() noexcept {
  if (seccomp_mode() == 0) return {};
  int fate = fate_of(calls);
  if (fate < 0) return fail("self-test:", "a child process", -fate);
  if (fate == 0) return {};
  // Each child makes one call more, until one is killed.
  std::size_t made = 1;
  while (made != calls.size() && fate_of(std::span(calls).first(made)) == 0) ++made;
  fixed_text<64> said;
  said.add("killed by ");
  if (fate == SIGSYS)
    said.add("SIGSYS");
  else
    said.add("signal ", fate);
  // The usual one goes without saying.
  if (const kernel_call& last = calls[made - 1]; last.number != SYS_io_uring_setup)
    said.add(" at ", last.name);
  return fail(uring_says, said.view(), EPERM);
}

}  // namespace hinge
