// What each source of connections has taken: connections at a time, and new ones a second.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/network.hpp>
#include <hinge/rate_limit.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/time.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace hinge {

/// A source is an address, or all addresses that share a prefix: who has one IPv6 address has, as a
/// rule, a /64 of them (RFC 6177).
struct source_options {
  std::uint32_t max_connections = 0;  ///< at a time; 0: no limit
  rate new_connections = {};          ///< a second; 0: no limit
  std::uint32_t ipv4_prefix = 32;
  std::uint32_t ipv6_prefix = 64;

  bool limits() const noexcept { return max_connections != 0 || new_connections.limits(); }
};

/// The sources of one loop. Memory is claimed once and doesn't grow, whoever connects: 36 bytes for
/// each of two to four times the connections that the loop may have. A source with a connection is
/// never forgotten; one without may be, once more sources have come than there are entries, and is
/// then asked as if it were new. Hashed with a random key, so that nobody can choose addresses that
/// collide. One thread; amortised O(1), no memory, no system call.
class source_table {
public:
  enum class verdict : std::uint8_t { admitted, too_many, too_fast };

  /// `connections`: most that there can be at a time. Errors: EINVAL with the option's name;
  /// ENOMEM; what open(2) or read(2) of /dev/urandom says.
  HINGE_API result<void> open(const source_options& options, std::uint32_t connections) noexcept;

  /// A connection comes. One that is admitted is counted until it leaves. Peers that aren't of the
  /// Internet are admitted, and not counted.
  HINGE_API verdict enter(const inet_name& peer, instant now) noexcept;
  HINGE_API void leave(const inet_name& peer) noexcept;
  /// One that was admitted goes as if it had not come.
  HINGE_API void withdraw(const inet_name& peer) noexcept;

  /// Of that peer's source.
  HINGE_API std::uint32_t connections_of(const inet_name& peer) const noexcept;
  /// Sources that are remembered.
  std::uint32_t size() const noexcept { return used_; }

private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct source {
    ip_number of;
    instant full_at;  // see rate_limit
    std::uint32_t connections;
    std::uint32_t next;  // of the same bucket
  };

  std::optional<ip_number> source_of(const inet_name& peer) const noexcept;
  std::uint32_t& bucket_of(ip_number of) const noexcept;
  std::uint32_t find(ip_number of) const noexcept;
  std::uint32_t add(ip_number of) noexcept;
  void forget(std::uint32_t index) noexcept;

  source_options options_;
  rate_limit rate_;
  std::array<std::uint64_t, 2> key_{};
  raw_array<source> sources_;
  raw_array<std::uint32_t> buckets_;
  std::uint32_t capacity_ = 0;  // a power of two
  std::uint32_t used_ = 0;
  std::uint32_t hand_ = 0;  // where a source to be forgotten is looked for next
};

}  // namespace hinge
