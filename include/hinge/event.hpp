// The plain data that crosses the seam between a loop and a poller: changes go in, events come out.
// See docs/POLLER_CONTRACT.md for the rules.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hinge {

/// What a token stands for.
enum class role : std::uint8_t { none, listener, connection };

/// The name under which an operation is known to the kernel: an integer that we mint, never a
/// pointer. bits 0-23 slot, 24-31 role, 32-63 generation of the slot.
class token {
public:
  static constexpr unsigned slot_bits = 24;
  static constexpr std::uint32_t max_slots = 1U << slot_bits;

  constexpr token() noexcept = default;
  constexpr token(role what, std::uint32_t slot, std::uint32_t generation) noexcept
      : bits_(std::uint64_t{generation} << 32 |
              std::uint64_t{static_cast<std::uint8_t>(what)} << 24 | slot) {}
  static constexpr token from_bits(std::uint64_t bits) noexcept {
    token made;
    made.bits_ = bits;
    return made;
  }

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr std::uint32_t slot() const noexcept { return bits_ & (max_slots - 1); }
  constexpr role what() const noexcept { return static_cast<role>(bits_ >> 24 & 0xff); }
  constexpr std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(bits_ >> 32);
  }
  friend constexpr bool operator==(token, token) noexcept = default;

private:
  std::uint64_t bits_ = 0;
};

/// No received buffer goes with this event or change.
inline constexpr std::uint16_t no_buffer = 0xffff;

enum class event_kind : std::uint8_t {
  accepted,  ///< listener: result = new descriptor or -errno; buffer = index into peers()
  readable,  ///< readiness: try to receive; result = a mask of readiness bits
  received,  ///< completion: result = bytes (0: the peer ended) or -errno; buffer = received buffer
  sent,      ///< completion: result = bytes sent or -errno
  writable,  ///< readiness: try to send; result = a mask of readiness bits
  failed,    ///< a change could not be applied; result = -errno, buffer = its operation
  detached,  ///< the kernel holds nothing under this token any more; result = detach_result
  woken,     ///< wake() was called, once or more
};

/// Bits of event::result for `readable` and `writable`. Each is a hint to try, never a promise.
/// `readable` may also say in event::buffer how many bytes wait (no_buffer: it doesn't say).
namespace readiness {
inline constexpr std::int32_t in = 1;
inline constexpr std::int32_t out = 2;
inline constexpr std::int32_t end = 4;      ///< the peer has ended its side, or more
inline constexpr std::int32_t urgent = 16;  ///< TCP urgent data: a short read need not be the last
inline constexpr std::int32_t error = 8;    ///< an error is pending: receive or SO_ERROR tells it

/// The bits above these are the errno, where the kernel tells it with the event; it may then be
/// told nowhere else (libkqueue takes it from the socket).
inline constexpr unsigned cause_shift = 8;
constexpr std::int32_t with_cause(int code) noexcept { return code << cause_shift; }
/// A positive errno, or 0.
constexpr int cause(std::int32_t hints) noexcept { return hints >> cause_shift; }

/// So many bytes that no event::buffer says it; also: who knows how many.
inline constexpr std::uint16_t many = no_buffer - 1;
constexpr std::uint16_t at_least(std::uint64_t bytes) noexcept {
  return bytes < many ? static_cast<std::uint16_t>(bytes) : many;
}
}  // namespace readiness

/// event::result of `detached`: who owns the descriptor now.
namespace detach_result {
inline constexpr std::int32_t released = 0;  ///< still open, and the loop's again
inline constexpr std::int32_t closed = 1;    ///< closed by the backend, as change::then_close asked
}  // namespace detach_result

/// One event; 16 bytes, so that four share a cache line.
struct event {
  token subject{};
  std::int32_t result = 0;
  std::uint16_t buffer = no_buffer;
  event_kind kind = event_kind::woken;
  /// accepted, received: 1 while the operation stays armed; 0 means ask again (rule 5).
  std::uint8_t more = 0;
};
static_assert(sizeof(event) == 16);

enum class operation : std::uint8_t {
  accept,        ///< listener: start, or start again, to accept
  stop_accept,   ///< listener: stop accepting; nothing is answered
  receive,       ///< connection: readiness: watch it, once for good; completion: arm a receive
  stop_receive,  ///< connection, completion: disarm; bytes already taken still come as `received`
  send,          ///< connection, completion: send data[0..length); one at a time per connection;
                 ///< no bytes: `sent` (0) when the socket takes some; readiness, with
                 ///< poller_limits::asks_to_send: no bytes alone, and `writable` then
  detach,        ///< cancel all under the token, answer `detached` when nothing is held
  recycle,       ///< completion: give `buffer` back; `subject` is ignored, nothing is answered
  close,         ///< completion: close `fd`, on which nothing is under way; likewise unanswered
};

/// One change; 32 bytes, two share a cache line. A change is answered by at most one event of kind
/// failed or detached in the same turn. `data` must stay valid until `sent` or `detached`.
struct change {
  /// `flags` of `send`, with no receive armed: send at once or not at all, and close the descriptor
  /// in the same batch when all bytes have gone: then `detached` alone answers (closed). A short or
  /// failed send is answered by `sent`, and nothing is closed.
  static constexpr std::uint8_t then_close = 1;
  /// `flags` of `send`: more bytes follow at once, don't send a small packet yet (MSG_MORE).
  static constexpr std::uint8_t more_follows = 2;
  /// `flags` of `receive`, completion: one answer is all that is wanted now; a backend may end with
  /// it where it else goes on by itself.
  static constexpr std::uint8_t once = 4;
  /// `flags` of `receive`, completion: takes no bytes. `received` with a result of 0 says that the
  /// peer has ended, behind what is still to be read; below 0 that the connection may have an
  /// error, which SO_ERROR tells. Either may come again (`more == 1`).
  static constexpr std::uint8_t watch = 8;

  token subject{};
  const std::byte* data = nullptr;
  std::uint32_t length = 0;
  std::int32_t fd = -1;
  /// recycle: the received buffer, which stays out of the backend's hands from `received` until
  /// here. Otherwise no_buffer.
  std::uint16_t buffer = no_buffer;
  operation what = operation::receive;
  std::uint8_t flags = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(change) == 32);

}  // namespace hinge
