#include <hinge/network.hpp>

#include <arpa/inet.h>

#include <array>
#include <span>

#include "fixed_text.hpp"
#include "ip_prefix.hpp"

namespace hinge {
namespace {

constexpr unsigned ipv4_begins = 96;  // the bits before an IPv4 address in its number
constexpr std::uint64_t ipv4_mark = 0xffff'0000'0000;

std::uint64_t number_of(std::span<const std::uint8_t> octets) noexcept {
  std::uint64_t number = 0;
  for (const std::uint8_t octet : octets) number = number << 8 | octet;
  return number;
}

}  // namespace

std::optional<ip_number> ip_number_of(const inet_name& peer) noexcept {
  const std::span octets(peer.ip);
  if (peer.family == family::ipv4) return ip_number{0, ipv4_mark | number_of(octets.first(4))};
  if (peer.family == family::ipv6)
    return ip_number{number_of(octets.first(8)), number_of(octets.last(8))};
  return {};
}

network network::of_ipv4() noexcept {
  network made;
  made.first_.low = ipv4_mark;
  made.bits_ = ipv4_begins;
  return made;
}

ip_number network::last() const noexcept { return last_of(first_, bits_); }

bool network::is_ipv4() const noexcept {
  return bits_ >= ipv4_begins && first_.high == 0 && first_.low >> 32 == ipv4_mark >> 32;
}

bool network::contains(const inet_name& peer) const noexcept {
  const std::optional<ip_number> number = ip_number_of(peer);
  if (!number || first_of(*number, bits_) != first_) return false;
  // In ::/0 the numbers of IPv4 stand among those of IPv6, and are none of them.
  return bits_ >= ipv4_begins || first_of(*number, ipv4_begins) != of_ipv4().first();
}

std::string network::text() const {
  std::array<std::uint8_t, 16> octets;
  for (unsigned i = 0; i < 8; ++i) {
    octets[i] = static_cast<std::uint8_t>(first_.high >> (56 - 8 * i));
    octets[8 + i] = static_cast<std::uint8_t>(first_.low >> (56 - 8 * i));
  }
  std::array<char, INET6_ADDRSTRLEN> ip;
  fixed_text<text_capacity> out;
  if (is_ipv4()) {
    out.add(inet_ntop(AF_INET, octets.data() + 12, ip.data(), ip.size()), '/', bits_ - ipv4_begins);
  } else {
    out.add(inet_ntop(AF_INET6, octets.data(), ip.data(), ip.size()), '/', unsigned{bits_});
  }
  return std::string(out.view());
}

}  // namespace hinge
