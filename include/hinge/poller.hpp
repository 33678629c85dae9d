// The seam: what a backend must supply. Changes go in, events come out, once per batch, as with
// kevent(2). The rules stand in docs/POLLER_CONTRACT.md; each is a conformance case over every
// backend.
#pragma once

#include <hinge/accept_sharing.hpp>
#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/event.hpp>
#include <hinge/time.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hinge {

/// What a poller is opened with. A 0 is refused with EINVAL, by a backend that
/// uses it.
struct poller_options {
  /// Connections under way at one time: their tokens' slots are below it.
  std::uint32_t connections = 1024;
  /// Most accepted connections that one turn reports; also the number of slots behind peers().
  std::uint32_t accepts_per_turn = 64;
  /// Completion backends: received buffers of the ring (a power of two, at most 32768), and bytes
  /// each.
  std::uint32_t receive_buffers = 512;
  std::uint32_t receive_buffer_bytes = 16 * 1024;
  /// What a backend can't do is refused with EOPNOTSUPP.
  accept_sharing accepting = accept_sharing::alone;
};

/// What a turn is allowed and what it tells besides the events.
struct turn_terms {
  /// in: how many accepted connections may be reported; a table slot is reserved for each. A
  /// completion backend that holds more than that keeps them for a later turn.
  std::uint32_t accept_room = 0;
  /// in: how long to wait when nothing is there. Changes that are answered at once don't wait.
  deadline until = deadline::immediately();
  /// in: the loop's last reading of the clock; out: the reading after the wait. Virtual in a
  /// simulator.
  instant now = 0;
};

/// Facts about an open poller that a loop reads once; the pointers live as long as the poller.
struct poller_limits {
  /// First byte of received buffer 0; buffer i starts i * buffer_stride bytes later. Null on a
  /// readiness backend, where the loop receives into a buffer of its own.
  std::byte* buffers = nullptr;
  std::uint32_t buffer_stride = 0;
  std::uint32_t buffer_count = 0;
  /// The peers of this turn's accepted events, indexed by event::buffer.
  const inet_name* peers = nullptr;
  /// Requests that the queue of a completion backend holds: fewer than asked for where memory was
  /// short.
  std::uint32_t requests = 0;
  /// Its completions, likewise; and how it was set up: the IORING_SETUP_* of io_uring_setup(2).
  std::uint32_t completions = 0;
  std::uint32_t setup_flags = 0;
  /// Readiness: `writable` is told after a `send` of no bytes alone, once for each; otherwise
  /// whenever the socket takes bytes again.
  bool asks_to_send = false;
};

/// A turn wants room for an answer to each change and for this many events besides; less is
/// -EINVAL.
inline constexpr std::size_t least_event_room = 2;

/// A backend. Not thread-safe but for wake(); one loop, one thread. Member by member:
/// - open(options): cold; claims the kernel's side. Called once, before anything else.
/// - turn(changes, events, terms): applies all changes in order, waits, fills events. Returns how
///   many, or -errno when the backend itself is broken. Returns at once when a change was answered.
/// - wake(): any thread, async-signal-safe: the running or next turn reports `woken`.
/// - closing(fd), if it has one: readiness: a registered descriptor is about to be closed without a
///   detach.
/// - completes(): false: readiness (the loop receives and sends); true: completion (the backend
/// does).
template <class P>
concept poller = requires(P p, const P c, const poller_options& options,
                          std::span<const change> changes, std::span<event> events,
                          turn_terms& terms) {
  { p.open(options) }
  noexcept->std::same_as<result<void>>;
  { p.turn(changes, events, terms) }
  noexcept->std::same_as<int>;
  { c.wake() }
  noexcept->std::same_as<void>;
  { c.name() }
  noexcept->std::same_as<std::string_view>;
  { c.limits() }
  noexcept->std::same_as<poller_limits>;
  { c.completes() }
  noexcept->std::same_as<bool>;
};

namespace detail {
template <class P>
inline void tell_closing([[maybe_unused]] P& to, [[maybe_unused]] int fd) noexcept {
  if constexpr (requires { to.closing(fd); }) to.closing(fd);
}
}  // namespace detail

}  // namespace hinge
