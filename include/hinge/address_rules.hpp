// Who may connect: networks that are allowed, and networks that are denied.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/network.hpp>

#include <hinge/raw_array.hpp>

#include <cstddef>
#include <span>

namespace hinge {

/// The longest prefix that a peer is in decides. A peer in none is permitted as long as no network
/// is allowed; with one that is, what isn't named is denied. Peers that aren't of the Internet
/// (Unix sockets) are always permitted. An IPv4 peer of a dual-stack listener is judged as IPv4.
/// Unchangeable once made, so that several loops can share it; asking takes a binary search, no
/// memory, and no system call.
class address_rules {
public:
  /// Everybody is permitted.
  address_rules() noexcept = default;
  /// EINVAL, with its name, for a network that is both allowed and denied; ENOMEM.
  HINGE_API static result<address_rules> make(std::span<const network> allow,
                                              std::span<const network> deny) noexcept;

  HINGE_API bool permits(const inet_name& peer) const noexcept;
  /// Nobody is denied.
  bool empty() const noexcept { return count_ == 0; }

private:
  /// From `first` on, up to the next one.
  struct range {
    ip_number first;
    bool permitted;
  };
  void add(ip_number first, bool permitted) noexcept;

  raw_array<range> ranges_;  // the first begins at 0
  std::size_t count_ = 0;    // 0: all is permitted
};

}  // namespace hinge
