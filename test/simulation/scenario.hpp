// One simulation: random options, conditions, peers and ideas, all from one seed.
#pragma once

#include <cstdint>
#include <string>

namespace hinge::sim {

enum class family_of_backends : bool { readiness, completion };

/// Empty when nothing is wrong; otherwise what is.
std::string simulate(family_of_backends family, std::uint64_t seed);

}  // namespace hinge::sim
