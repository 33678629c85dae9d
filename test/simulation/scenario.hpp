// One simulation: random options, conditions, peers and ideas, all from one source.
#pragma once

#include <string>

#include "simulator/random.hpp"

namespace hinge::sim {

enum class family_of_backends : bool { readiness, completion };

/// Empty when nothing is wrong; otherwise what is.
std::string simulate(family_of_backends family, random_source from);

}  // namespace hinge::sim
