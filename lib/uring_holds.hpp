// What the kernel holds of a connection of the io_uring backend: one byte for each slot.
#pragma once

#include <cstdint>

namespace hinge {

/// Bits of what the kernel holds for a connection.
namespace holds {
inline constexpr std::uint8_t receive = 1;  // armed, or parked
inline constexpr std::uint8_t send = 2;     // and perhaps a close linked behind it
inline constexpr std::uint8_t under_way = receive | send;
inline constexpr std::uint8_t detach = 4;  // to be told when nothing is under way
inline constexpr std::uint8_t parked = 8;
inline constexpr std::uint8_t poll = 16;      // the receive is a poll first
inline constexpr std::uint8_t readable = 32;  // a poll has said so: the next receive is a real one
// Has received before: the next receive goes on. Outlives a connection whose end isn't told here;
// the slot's next one then begins with a receive that is to be cancelled before a last reply.
inline constexpr std::uint8_t again = 64;
inline constexpr std::uint8_t unread = 128;  // the kernel said that more is there, no more
}  // namespace holds

inline void clear(std::uint8_t& h, unsigned bits) noexcept {
  h &= static_cast<std::uint8_t>(~bits);
}

}  // namespace hinge
