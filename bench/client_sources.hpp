// Where the connections of a load come from.
#pragma once

#include <hinge/address.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hinge::bench {

/// The addresses that the connections of a load come from. A target in 127.0.0.0/8 is reached from
/// many, so that ports don't run out, where the system has them without being told (Linux); any
/// other target from the one that the kernel picks.
class client_sources {
public:
  client_sources(const address& target, std::uint32_t connections);

  /// How many; the kernel's own pick counts as one.
  std::size_t count() const noexcept { return addresses_.empty() ? 1 : addresses_.size(); }
  /// Binds `fd` to the next address in turn, without taking a port yet; 0 or -errno.
  int bind_next(int fd) noexcept;

private:
  std::vector<inet_name> addresses_;  // empty: the kernel picks
  std::size_t next_ = 0;
};

}  // namespace hinge::bench
