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

#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "fixed_text.hpp"
#include "nap.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr nanoseconds patience = std::chrono::seconds(1);

/// What a file of the kernel's says behind `key`, up to the line's end; empty when it isn't there.
/// The file may be long: the groups of a process stand before its filters.
class kernel_text {
public:
  kernel_text(const char* path, std::string_view key) noexcept {
    const unique_fd file(sys::open(path, O_RDONLY | O_CLOEXEC));
    if (!file) return;
    for (std::size_t kept = 0;;) {
      const ssize_t got = sys::read(file.get(), room_.data() + kept, room_.size() - kept);
      const std::string_view text(room_.data(), kept + static_cast<std::size_t>(got < 0 ? 0 : got));
      const std::size_t found = text.find(key);
      const std::size_t from = found == text.npos ? text.npos : found + key.size();
      const std::size_t end = from == text.npos ? text.npos : text.find('\n', from);
      if (end != text.npos || got <= 0) {
        if (from != text.npos) found_ = text.substr(from, end - from);
        return;
      }
      // What has not ended yet; of a line that is no key's, as much as might be one's beginning.
      kept = std::min(found == text.npos ? key.size() : text.size() - found, text.size());
      if (kept == room_.size()) return;
      std::copy(text.end() - static_cast<std::ptrdiff_t>(kept), text.end(), room_.begin());
    }
  }
  kernel_text(const kernel_text&) = delete;
  kernel_text& operator=(const kernel_text&) = delete;

  std::string_view view() const noexcept { return found_; }
  template <class Number>
  std::optional<Number> number(int base = 10) const noexcept {
    Number read{};
    const auto [end, failed] =
        std::from_chars(found_.data(), found_.data() + found_.size(), read, base);
    if (failed != std::errc()) return {};
    return read;
  }

private:
  std::array<char, 4096> room_;
  std::string_view found_;
};

constexpr const char* own_status = "/proc/thread-self/status";

/// So that nothing is left of the child, however it ends.
constexpr std::array<kernel_call, 2> prelude = {{
    {"prctl", SYS_prctl, {PR_SET_DUMPABLE}},
    {"prctl", SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
}};

long make(const kernel_call& one) noexcept {
  return sys::syscall(one.number, one.with[0], one.with[1], one.with[2], 0);
}

using kernel_calls = std::span<const kernel_call>;

/// A child that makes these calls and ends; its number, or -errno.
long start_child(kernel_calls first, kernel_calls then) noexcept {
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
    for (const kernel_call& one : first) make(one);
    for (const kernel_call& one : then) make(one);
    for (;;) sys::syscall(SYS_exit_group, 0, 0, 0, 0);
  }
  mask(SIG_SETMASK, before, nullptr);
  return child;
}

/// As wait4(2): the child when it has ended, 0 when it has not, or -errno.
long look_after(long child, int& status) noexcept {
  return sys::syscall(SYS_wait4, child, reinterpret_cast<long>(&status), __WALL | WNOHANG, 0);
}

/// Looks until it has ended or so much time has passed. -EINTR can't be, and isn't believed.
long wait_for(long child, int& status) noexcept {
  const deadline until = deadline::after(now(), patience);
  for (;;) {
    const long ended = look_after(child, status);
    if (ended != 0 || until.passed(now())) return ended;
    nap(1);
  }
}

/// The signal that has ended a child which made these calls, 0, or why that isn't known.
result<int> fate_of(kernel_calls first, kernel_calls then) noexcept {
  int status = 0;
  // Who may not wait would leave a child behind for ever. Process 1 is nobody's child here.
  if (const long none = look_after(1, status); none != -ECHILD)
    return fail("wait4", "a child process", none < 0 ? static_cast<int>(-none) : ENOSYS);
  const long child = start_child(first, then);
  if (child < 0) return fail("clone", "a child process", static_cast<int>(-child));
  const long ended = wait_for(child, status);
  if (ended == child) return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  sys::syscall(SYS_kill, child, SIGKILL, 0, 0);
  wait_for(child, status);
  if (ended < 0) return fail("wait4", "a child process", static_cast<int>(-ended));
  return fail("self-test:", "a child process", ETIMEDOUT);
}

/// The first of these calls that the child did not survive: each makes one call more.
const kernel_call& deadly(kernel_calls first, kernel_calls calls) noexcept {
  for (std::size_t made = 1; made != calls.size(); ++made)
    if (const auto fate = fate_of(first, calls.first(made)); !fate || *fate != 0)
      return calls[made - 1];
  return calls.back();
}

}  // namespace

int seccomp_mode() noexcept {
  return kernel_text(own_status, "\nSeccomp:\t").number<int>().value_or(-1);
}

int uring_disabled() noexcept {
  return kernel_text("/proc/sys/kernel/io_uring_disabled", "").number<int>().value_or(-1);
}

bool is_capable(int capability) noexcept {
  const auto has = kernel_text(own_status, "\nCapEff:\t").number<std::uint64_t>(16);
  return has.value_or(0) >> capability & 1;
}

void add_kernel(text_writer& out) noexcept {
  // Not by uname(2), which a filter need not permit: what reads a file was permitted just before.
  const kernel_text release("/proc/sys/kernel/osrelease", "");
  out.add(release.view().empty() ? "this kernel" : "Linux ", release.view());
}

result<void> survives(const char* says, kernel_calls calls) noexcept {
  if (seccomp_mode() == 0) return {};
  kernel_calls first = prelude;
  result<int> fate = fate_of(first, calls);
  // A filter that kills for the child's own sake says nothing about the calls.
  if (fate && *fate == SIGSYS) {
    if (const result<int> alone = fate_of(first, {}); !alone || *alone != 0) {
      first = {};
      fate = fate_of(first, calls);
    }
  }
  if (!fate) return fail(fate.error());
  if (*fate == 0) return {};
  fixed_text<64> said;
  // Nobody's filter: it may have been any process's, or the system's for want of memory.
  if (*fate != SIGSYS) return fail(says, said.add("killed by signal ", *fate).view(), EINTR);
  said.add("killed by SIGSYS");
  // The usual one goes without saying.
  if (const kernel_call& last = deadly(first, calls); last.number != calls.front().number)
    said.add(" at ", last.name);
  return fail(says, said.view(), EPERM);
}

}  // namespace hinge
