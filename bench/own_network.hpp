// A network namespace of this process's own, with its loopback up: no other traffic, no TIME_WAIT
// of the run before, counters that begin at 0.
#pragma once

#include <cstdint>

namespace hinge::bench {

/// A fresh one for this thread and whom it starts from now on. False where that isn't permitted;
/// all stays as it was then. Throws std::runtime_error when it can't be used.
bool enter_fresh_network();

/// Packets and their bytes that this network's loopback has carried, of TCP and all.
struct carried {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};
carried carried_by_loopback();

}  // namespace hinge::bench
