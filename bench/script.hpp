// What a connection of a load does in its life: the workloads in the terms of their steps.
#pragma once

#include <cstdint>
#include <random>

namespace hinge::bench {

struct load_options;

/// So many exchanges, and then the client closes with a reset. A connection is made by its first
/// exchange, and belongs to it.
struct lifetime {
  std::uint32_t least = 1;
  std::uint32_t most = 1;  ///< 0: as long as the load

  friend bool operator==(const lifetime&, const lifetime&) = default;
};

/// Connect; then, for the length of its life: send a request, receive the answer. Then close.
struct script {
  std::uint64_t request = 0;  ///< bytes, and of the answer, which is the same; 0: nothing is sent,
                              ///< and the first byte or the close is the answer
  lifetime life = {};

  /// Its connection is made beforehand, and none of the exchanges has to make one.
  bool kept() const noexcept { return life.most == 0; }
  /// Exchanges of a new connection, whose lives are spread evenly over the orders of magnitude:
  /// most are short, and a few are long. 0: no end.
  std::uint32_t draw(std::mt19937& random) const;
};

script script_of(const load_options&) noexcept;

}  // namespace hinge::bench
