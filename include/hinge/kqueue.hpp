// The readiness backend of the BSDs and macOS, on kqueue(2). Each connection is registered once,
// to be read with EV_CLEAR, and to be written to each time that it asks; listeners are
// level-triggered; a turn is one kevent(2), which takes the changes and waits.
#pragma once

#include <hinge/export.hpp>
#include <hinge/poller.hpp>

#include <memory>

namespace hinge {

/// How it accepts, per listener: as many connections as the kernel's report says are waiting,
/// within terms.accept_room; fewer when they are gone by then. Where a report doesn't say so
/// (libkqueue on Linux), as epoll_poller does.
///
/// A connection that reads and writes may be told in two events of one turn.
class kqueue_poller {
public:
  static constexpr std::uint32_t max_listeners = 64;

  HINGE_API kqueue_poller() noexcept;
  HINGE_API ~kqueue_poller();
  HINGE_API kqueue_poller(kqueue_poller&&) noexcept;
  HINGE_API kqueue_poller& operator=(kqueue_poller&&) noexcept;

  /// Errors: kqueue, kevent, pipe or fcntl with their errno; ENOMEM; EINVAL for accepts_per_turn
  /// and connections; EOPNOTSUPP for accept_sharing::first_come.
  HINGE_API result<void> open(const poller_options& options) noexcept;
  HINGE_API int turn(std::span<const change> changes, std::span<event> events,
                     turn_terms& terms) noexcept;
  HINGE_API void wake() const noexcept;
  /// As poller.hpp says. A system call on libkqueue alone, where a registration outlives its
  /// descriptor; elsewhere nothing.
  HINGE_API void closing(int fd) noexcept;
  HINGE_API poller_limits limits() const noexcept;
  static constexpr std::string_view name() noexcept { return "kqueue"; }
  static constexpr bool completes() noexcept { return false; }

private:
  struct state;
  std::unique_ptr<state> state_;
};

static_assert(poller<kqueue_poller>);

}  // namespace hinge
