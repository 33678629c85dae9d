// The bits that the addresses of a network share.
#pragma once

#include <hinge/network.hpp>

#include <cstdint>

namespace hinge {

/// A mask with the highest `bits` bits of a word set; over 64 is 64.
constexpr std::uint64_t high_bits(unsigned bits) noexcept {
  return bits == 0 ? 0 : bits >= 64 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - bits);
}

/// `of`, and every bit behind the first `bits` is 0.
constexpr ip_number first_of(ip_number of, unsigned bits) noexcept {
  return {of.high & high_bits(bits), bits <= 64 ? 0 : of.low & high_bits(bits - 64)};
}

/// `of`, and every bit behind the first `bits` is 1.
constexpr ip_number last_of(ip_number of, unsigned bits) noexcept {
  return {of.high | ~high_bits(bits), of.low | ~(bits <= 64 ? 0 : high_bits(bits - 64))};
}

}  // namespace hinge
