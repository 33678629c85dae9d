// The readiness backend of Linux, on epoll(7). One registration a connection, edge-triggered in
// both directions and never changed; listeners level-triggered; accept4(2) inside the turn.
#pragma once

#include <hinge/export.hpp>
#include <hinge/poller.hpp>

#include <memory>

namespace hinge {

/// How it accepts, per listener: one connection a wake-up. When the next turn reports the listener
/// again at once (within 50 us for each connection accepted before), the kernel is asked how many
/// wait (TCP_INFO, one cheap call), and exactly that many are taken, within terms.accept_room.
/// Asking in vain makes it ask less often, down to once in 256. accept4 is never called only to
/// hear EAGAIN, which costs more than an accept that succeeds. Unix listeners can't be asked: one
/// a wake-up there.
class epoll_poller {
public:
  static constexpr std::uint32_t max_listeners = 64;

  HINGE_API epoll_poller() noexcept;
  HINGE_API ~epoll_poller();
  HINGE_API epoll_poller(epoll_poller&&) noexcept;
  HINGE_API epoll_poller& operator=(epoll_poller&&) noexcept;

  /// Errors: epoll_create1, eventfd or epoll_ctl with their errno; ENOMEM; EINVAL for
  /// accepts_per_turn; EOPNOTSUPP for accept_sharing::first_come.
  HINGE_API result<void> open(const poller_options& options) noexcept;
  HINGE_API int turn(std::span<const change> changes, std::span<event> events,
                     turn_terms& terms) noexcept;
  HINGE_API void wake() const noexcept;
  HINGE_API poller_limits limits() const noexcept;
  static constexpr std::string_view name() noexcept { return "epoll"; }
  static constexpr bool completes() noexcept { return false; }

private:
  struct state;
  std::unique_ptr<state> state_;
};

static_assert(poller<epoll_poller>);

}  // namespace hinge
