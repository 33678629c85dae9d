// What a request of the io_uring backend is called: its token, and in four bits that a token
// doesn't use what it does.
#pragma once

#include <hinge/event.hpp>

#include <cstdint>

namespace hinge {

enum class uring_request : std::uint8_t {
  unheard,  ///< nobody waits for its completion
  accept,
  receive,
  send,
  room,   ///< a send of no bytes, which waits until the socket takes some
  close,  ///< linked behind the last send
  wake,
};

inline constexpr unsigned uring_request_shift = token::slot_bits + 4;

constexpr std::uint64_t request_name(token subject, uring_request what) noexcept {
  return subject.bits() | std::uint64_t{static_cast<std::uint8_t>(what)} << uring_request_shift;
}
constexpr uring_request request_of(std::uint64_t name) noexcept {
  return static_cast<uring_request>(name >> uring_request_shift & 0xf);
}
constexpr token subject_of(std::uint64_t name) noexcept {
  return token::from_bits(name & ~(std::uint64_t{0xf} << uring_request_shift));
}
static_assert(static_cast<unsigned>(role::connection) < 16);

}  // namespace hinge
