// How much the sources of connections may take, by two measures of what a source is.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/source_table.hpp>
#include <hinge/time.hpp>

#include <array>
#include <cstdint>

namespace hinge {

/// By its own prefix, and by that of the network that it is in; each has a source_table where it
/// limits anything. One thread.
class source_limits {
public:
  enum class verdict : std::uint8_t {
    admitted,
    source_full,
    source_rate,
    network_full,
    network_rate,
  };

  /// As source_table::open(), for those that limit.
  HINGE_API result<void> open(const source_options& source, const source_options& network,
                              std::uint32_t connections) noexcept;
  bool any() const noexcept { return first_ != end_; }

  /// As of a source_table. Who is turned away by one has taken nothing of the other.
  verdict enter(const inet_name& peer, instant now) noexcept {
    for (unsigned i = first_; i != end_; ++i) {
      const source_table::verdict found = tables_[i].enter(peer, now);
      if (found != source_table::verdict::admitted) return turned_away(peer, i, found);
    }
    return verdict::admitted;
  }
  void leave(const inet_name& peer) noexcept {
    for (unsigned i = first_; i != end_; ++i) tables_[i].leave(peer);
  }

private:
  HINGE_API verdict turned_away(const inet_name& peer, unsigned by,
                                source_table::verdict found) noexcept;

  std::array<source_table, 2> tables_;  // the source, its network
  std::uint8_t first_ = 0;              // of those that are asked
  std::uint8_t end_ = 0;
};

}  // namespace hinge
