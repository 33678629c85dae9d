// A block of Internet addresses, as rules and limits name it: 10.0.0.0/8, 2001:db8::/32.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hinge {

/// An IPv6 address as a number; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that a peer is the
/// same one through an IPv4 and through a dual-stack listener.
struct ip_number {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend constexpr auto operator<=>(const ip_number&, const ip_number&) noexcept = default;
};

/// Nothing for a peer that isn't of the Internet. Its port and scope are not in it.
HINGE_API std::optional<ip_number> ip_number_of(const inet_name& peer) noexcept;

/// The addresses that begin with the same bits. A value of 24 bytes.
class network {
public:
  static constexpr std::size_t text_capacity = 50;  ///< the longest text()

  /// ::/0, which is every IPv6 address and no IPv4 address.
  constexpr network() noexcept = default;

  /// 0.0.0.0/0: every IPv4 address.
  HINGE_API static network of_ipv4() noexcept;
  /// Reads "10.0.0.0/8", "2001:db8::/32", and a single address, "10.1.2.3", "::1". EINVAL with what
  /// is wrong and at which character; also when bits behind the prefix are set, since one of the
  /// two is mistaken then. An IPv4-mapped prefix is IPv4's: "::ffff:10.0.0.0/104".
  HINGE_API static result<network> parse(std::string_view text) noexcept;

  /// The lowest and the highest of its addresses.
  ip_number first() const noexcept { return first_; }
  HINGE_API ip_number last() const noexcept;
  /// How many leading bits they share, of the 128 of an ip_number: /8 of IPv4 is 104 here.
  unsigned shared_bits() const noexcept { return bits_; }
  HINGE_API bool is_ipv4() const noexcept;
  HINGE_API bool contains(const inet_name& peer) const noexcept;

  /// What parse() reads.
  HINGE_API std::string text() const;

  friend bool operator==(const network&, const network&) noexcept = default;

private:
  ip_number first_;
  std::uint8_t bits_ = 0;
};

}  // namespace hinge
