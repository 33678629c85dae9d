// SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) of 16 bytes: a hash
// whose collisions can't be chosen by who doesn't know the key.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace hinge {

class siphash {
public:
  explicit constexpr siphash(const std::array<std::uint64_t, 2>& key) noexcept
      : a_(key[0] ^ 0x736f6d6570736575),
        b_(key[1] ^ 0x646f72616e646f6d),
        c_(key[0] ^ 0x6c7967656e657261),
        d_(key[1] ^ 0x7465646279746573) {}

  /// Of two words, as the 16 bytes that they are in little-endian order.
  constexpr std::uint64_t of(std::uint64_t first, std::uint64_t second) noexcept {
    constexpr std::uint64_t length = std::uint64_t{16} << 56;
    for (const std::uint64_t word : {first, second, length}) {
      d_ ^= word;
      round();
      a_ ^= word;
    }
    c_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

private:
  constexpr void round() noexcept {
    a_ += b_;
    b_ = std::rotl(b_, 13) ^ a_;
    a_ = std::rotl(a_, 32);
    c_ += d_;
    d_ = std::rotl(d_, 16) ^ c_;
    a_ += d_;
    d_ = std::rotl(d_, 21) ^ a_;
    c_ += b_;
    b_ = std::rotl(b_, 17) ^ c_;
    c_ = std::rotl(c_, 32);
  }

  std::uint64_t a_, b_, c_, d_;
};
// As Python 3.11 says with PYTHONHASHSEED=0: hash(bytes(range(16))), hash(bytes(16)).
static_assert(siphash({0, 0}).of(0x0706050403020100, 0x0f0e0d0c0b0a0908) == 0x8972188433a5c5b7);
static_assert(siphash({0, 0}).of(0, 0) == 0x76be999e3e25b2a0);

}  // namespace hinge
