// What a loop calls: the concept of a handler.
#pragma once

#include <hinge/connection.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace hinge {

namespace detail {

struct no_payload {};

template <class Handler>
struct payload_of {
  using type = no_payload;
};
template <class Handler>
requires requires { typename Handler::payload; }
struct payload_of<Handler> {
  using type = typename Handler::payload;
};

/// A callback of that name that can't be called so would never be called: better not to compile.
template <class H>
constexpr bool callbacks_fit = [] {
  constexpr bool accept = requires(H h, connection c) { h.on_accept(connection(c)); };
  constexpr bool end = requires(H h, connection c) { h.on_end(connection(c)); };
  constexpr bool writable = requires(H h, connection c) { h.on_writable(connection(c)); };
  constexpr bool close = requires(H h, connection c) { h.on_close(connection(c), close_cause{}); };
  constexpr bool drain = requires(H h, connection c) { h.on_drain(connection(c)); };
  constexpr bool error = requires(H h) { h.on_listener_error(std::size_t{}, int{}); };
  static_assert(
      accept || !requires { &H::on_accept; }, "on_accept(hinge::connection)");
  static_assert(
      end || !requires { &H::on_end; }, "on_end(hinge::connection)");
  static_assert(
      writable || !requires { &H::on_writable; }, "on_writable(hinge::connection)");
  static_assert(
      close || !requires { &H::on_close; }, "on_close(hinge::connection, hinge::close_cause)");
  static_assert(
      drain || !requires { &H::on_drain; }, "on_drain(hinge::connection)");
  static_assert(
      error || !requires { &H::on_listener_error; },
      "on_listener_error(std::size_t listener, int code)");
  constexpr bool recovered = requires(H h) {
    h.on_listener_recovered(std::size_t{}, door_episode());
  };
  static_assert(
      recovered || !requires { &H::on_listener_recovered; },
      "on_listener_recovered(std::size_t listener, const hinge::door_episode&)");
  constexpr bool half_closed = requires(H h, connection c) {
    h.on_half_closed(connection(c), nanoseconds{});
  };
  static_assert(
      half_closed || !requires { &H::on_half_closed; },
      "on_half_closed(hinge::connection, hinge::nanoseconds age)");
  constexpr bool exhausted = requires(H h, exhaustion e) { e = h.on_exhausted(std::size_t{}); };
  static_assert(
      exhausted || !requires { &H::on_exhausted; },
      "hinge::exhaustion on_exhausted(std::size_t listener)");
  return true;
}();

/// Whether those who wait at a listener that has run out of descriptors are shed.
template <class H>
bool sheds(H& handler, std::size_t listener, exhaustion chosen) noexcept {
  if constexpr (requires { handler.on_exhausted(listener); })
    if (chosen == exhaustion::handler) chosen = handler.on_exhausted(listener);
  return chosen == exhaustion::shed_reset;
}

/// The episodes that are over.
template <class H>
void tell_recovered(H& handler, door_table& doors, instant now) noexcept {
  for (std::size_t index = 0; index < doors.size(); ++index) {
    [[maybe_unused]] const std::optional<door_episode> over = doors.take_episode(index, now);
    if constexpr (requires { handler.on_listener_recovered(index, *over); })
      if (over) handler.on_listener_recovered(index, *over);
  }
}

}  // namespace detail

/// What a handler must have. All but on_data is optional, found by name at compile time:
/// - on_data(connection, std::span<std::byte>): the bytes live until it returns; send() and
///   finish() may be given a part of them.
/// - on_accept(connection): before any data. The peer may have sent some already: who greets and
///   goes ends with shutdown_write(), because a close over unread bytes destroys the greeting.
/// - on_end(connection): the peer has ended its side, nothing more will be read. Without it the
///   connection is closed, after what is queued.
/// - on_half_closed(connection, nanoseconds age): the peer ended so long ago, longer than
///   half_closed_limit, and the connection is still open on this side: once for each. Also when its
///   reading is paused, so that on_end can't be told; but while it is, io_uring doesn't hear of an
///   end that comes then.
/// - on_writable(connection): the queue had passed queue_high_bytes and is below queue_low_bytes.
/// - on_close(connection, close_cause): exactly once for each connection; the handle can still be
///   asked for everything, but operations return false.
/// - on_drain(connection): the loop winds down or drains, and each may tell it; finish soon. Who
///   comes later isn't told of a wind_down(): loop_base::winding_down() is true.
/// - on_listener_error(std::size_t listener, int code): accepting on it paused for lack of
///   descriptors or memory (once an episode), or ended for good; code is -errno.
/// - on_listener_recovered(std::size_t listener, const door_episode&): that episode is over, since
///   it has accepted for two seconds without a failure, be it that nobody came. Not for a listener
///   that has ended meanwhile.
/// - exhaustion on_exhausted(std::size_t listener): asked with exhaustion::handler, at each accept
///   that fails for want of a descriptor while those who come are queued. Once it has said
///   shed_reset, that holds for that listener until there is a descriptor again. A connection that
///   comes meanwhile at another one, for which it hasn't, is served by the descriptor in reserve;
///   until one is free then, nobody can be shed, and all wait.
/// - payload: a public type, default-constructed for each connection; see connection::payload().
/// None may throw.
template <class H>
concept handler = requires(H h, connection c, std::span<std::byte> bytes) {
  h.on_data(c, bytes);
};

}  // namespace hinge
