// The backends by name: which ones there are, which this process can use, and which one is taken.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hinge {

/// All that hinge knows, also those that a build leaves out.
enum class backend : std::uint8_t {
  automatic,  ///< in a list: all that it doesn't name, in hinge's own order
  epoll,
  io_uring,
  kqueue,
};
/// Without `automatic`.
inline constexpr std::size_t backend_count = 3;

/// "auto", "epoll", "uring", "kqueue"; of a poller the same as its name().
HINGE_API std::string_view backend_name(backend which) noexcept;
/// The other way round; nothing for another name. The backend need not be in this build.
HINGE_API std::optional<backend> backend_named(std::string_view name) noexcept;

/// The backends of this build, the preferred one first; without `automatic`. io_uring is before
/// epoll: what many connections want at one time costs it one system call and less CPU, and
/// elsewhere the two are alike.
HINGE_API std::span<const backend> built_backends() noexcept;

/// Which backends are wanted, the preferred one first, each once. `automatic` is never among them:
/// it stands for all that there are, built or not.
class backend_list {
public:
  /// Those of `automatic`.
  backend_list() noexcept : backend_list(backend::automatic) {}
  HINGE_API backend_list(backend which) noexcept;
  HINGE_API backend_list(std::span<const backend> wanted) noexcept;
  backend_list(std::initializer_list<backend> wanted) noexcept
      : backend_list(std::span(wanted.begin(), wanted.size())) {}
  /// "uring,epoll", "auto", "epoll,auto". EINVAL: the argument is no backend's name.
  HINGE_API static result<backend_list> parse(std::string_view names) noexcept;

  const backend* begin() const noexcept { return wanted_.data(); }
  const backend* end() const noexcept { return wanted_.data() + size_; }
  std::size_t size() const noexcept { return size_; }

private:
  void add(backend which) noexcept;

  std::array<backend, backend_count> wanted_{};
  std::uint8_t size_ = 0;
};

/// What became of one backend as a candidate.
struct backend_verdict {
  backend which = backend::automatic;
  bool built = false;
  /// Not usable: what was refused, and with which errno. Of what isn't built EINVAL.
  result<void> usable = {};
  /// Usable: the system that a self-test has passed on ("Linux 6.1.0"). Not usable: what the system
  /// says of itself that may be why: "seccomp mode 2", "RLIMIT_MEMLOCK=0",
  /// "kernel.io_uring_disabled=2". Ends with a null character.
  std::array<char, 96> circumstances{};

  /// "self-test passed on Linux 6.1.0", "usable", "refused: EPERM, seccomp mode 2", "refused:
  /// EMFILE at epoll_create1, RLIMIT_NOFILE=64", "killed by SIGSYS, seccomp mode 2", "no multishot
  /// accept on this kernel", "not built". Makes no system call.
  HINGE_API std::string text() const;
  /// With the system's name of the backend before it: "io_uring: not built".
  HINGE_API std::string line() const;
};

/// Which backend of a list is taken, and why.
class backend_choice {
public:
  /// All candidates, the preferred one first.
  std::span<const backend_verdict> candidates() const& noexcept {
    return std::span(verdicts_).first(size_);
  }
  std::span<const backend_verdict> candidates() && = delete;  // they would be gone
  /// `automatic` when no backend can be used.
  backend chosen() const noexcept { return chosen_; }
  /// Whether one of this build was preferred, and can't be used.
  HINGE_API bool fell_back() const noexcept;

  /// The verdict of the chosen one, and of those that were preferred: "io_uring: self-test passed
  /// on Linux 6.1.0", "epoll: usable (io_uring: refused: EPERM, seccomp mode 2)".
  HINGE_API std::string text() const;

  HINGE_API void add(const backend_verdict& next) noexcept;

private:
  std::array<backend_verdict, backend_count> verdicts_;
  std::uint8_t size_ = 0;
  backend chosen_ = backend::automatic;
};

/// Asks each candidate, by use. epoll and kqueue hear a wake-up of their own (some microseconds,
/// each time). io_uring: a ring of the least size that a server's may be cut down to accepts a
/// connection on loopback, receives and sends (a fraction of a millisecond; at most a second, and
/// 1.5 s while memory is short). That is remembered as long as the calling thread has the same
/// seccomp filters and capabilities, and kernel.io_uring_disabled is the same; unless it was
/// refused for what may pass (memory, descriptors, time): then it is tried again when asked again.
/// Threads share it that have no other filters than the process began with, as in a container. A
/// thread with more of them asks for itself, once. Before Linux 5.9 filters aren't counted: under
/// one nothing is remembered.
/// Any thread. It tells of this moment and this thread: what became of a poller's own opening,
/// any_poller::choice() says.
///
/// Under a seccomp filter, which might kill, a child process makes the system calls of each backend
/// first (of a kqueue on Linux those of libkqueue), and of io_uring's self-test: without SIGCHLD,
/// for at most a second, and waited for. It copies the page tables: some milliseconds in a small
/// process, 0.2 s where half a gigabyte is resident. What it takes besides a server's own are
/// openat(2) and read(2) of /proc (also before main(), to count the filters), clone(2), wait4(2)
/// and kill(2): a process that is killed for those has to name epoll alone (any_poller::of()),
/// which is not tried beforehand. Where only the child is killed for its own sake, io_uring is
/// refused, and epoll tried without a child.
HINGE_API backend_choice backend_report(const backend_list& wanted = {}) noexcept;

}  // namespace hinge
