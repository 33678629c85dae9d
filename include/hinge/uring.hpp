// The completion backend of Linux, on io_uring(7): accepts, receives, sends and closes are requests
// in a ring, and a turn is one io_uring_enter(2).
//
// A build of hinge may lack it, and then nothing of this links. Where it is there a program that
// finds hinge by pkg-config, CMake or Meson is compiled with HINGE_HAVE_URING.
#pragma once

#include <hinge/export.hpp>
#include <hinge/poller.hpp>

#include <cstdint>
#include <memory>

namespace hinge {

/// How connections that wait for bytes are held.
enum class uring_receive : std::uint8_t {
  /// A receive is armed: for one answer where the loop wants no more (change::once, for the first
  /// of a connection, so that a lone request needs no cancel before its close), else for as many as
  /// come. An idle connection costs the kernel the most.
  armed,
  /// A poll is armed, and a receive follows when there is something: less kernel memory for each
  /// idle connection, one request and one pass through the ring more for each message.
  poll_first,
};

struct uring_options {
  /// Entries of the submission queue; more changes than that are submitted in parts. Rounded up to
  /// a power of two by the kernel, halved when memory (RLIMIT_MEMLOCK) is short.
  std::uint32_t submissions = 512;
  /// Entries of the completion queue; what doesn't fit waits in the kernel (IORING_FEAT_NODROP).
  std::uint32_t completions = 4096;
  uring_receive receive = uring_receive::armed;
};

/// Accepts by one multishot request a listener; where other rings share it (first_come), by one
/// request for each connection, asked for once a turn: a multishot accept would take everything.
/// Such a request tells the peer's name without getpeername(2), but of those that had to wait for
/// room. Receives into a ring of buffers that the kernel picks from; a last reply and its close are
/// linked requests. Needs Linux 6.0 (multishot accept and receive, buffer rings). The ring belongs
/// to the thread of the first turn that enters the kernel; a turn in another one is -EEXIST. It is
/// to be destroyed in that thread, or after it (then its ports are free some 10 ms later): a living
/// owner keeps the ring and its requests, as it has registered the ring's descriptor
/// (io_uring_register(2), IORING_REGISTER_RING_FDS).
class uring_poller {
public:
  static constexpr std::uint32_t max_listeners = 64;

  HINGE_API explicit uring_poller(const uring_options& options = {}) noexcept;
  HINGE_API ~uring_poller();
  HINGE_API uring_poller(uring_poller&&) noexcept;
  HINGE_API uring_poller& operator=(uring_poller&&) noexcept;

  /// Errors: io_uring_setup or io_uring_register with their errno (EPERM: forbidden by
  /// kernel.io_uring_disabled or a seccomp filter; ENOSYS; ENOMEM also when RLIMIT_MEMLOCK is
  /// short); EINVAL for an option, EOPNOTSUPP for accept_sharing::exclusive. The first open of a
  /// process, and of a thread that has a seccomp filter more than the process began with, makes a
  /// self-test over loopback, whose errors have the call "self-test:"; see backend_report().
  HINGE_API result<void> open(const poller_options& options) noexcept;
  HINGE_API int turn(std::span<const change> changes, std::span<event> events,
                     turn_terms& terms) noexcept;
  HINGE_API void wake() const noexcept;
  HINGE_API poller_limits limits() const noexcept;
  static constexpr std::string_view name() noexcept { return "uring"; }
  static constexpr bool completes() noexcept { return true; }

private:
  struct state;
  friend class uring_self_test;
  result<void> open_untested(const poller_options& options) noexcept;

  uring_options options_;
  std::unique_ptr<state> state_;
};

static_assert(poller<uring_poller>);

}  // namespace hinge
