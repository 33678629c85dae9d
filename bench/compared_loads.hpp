// Servers under load, as a way of comparing: each is a process on a CPU of its own, and the load on
// another one. Without a rate echoes in a closed loop, what a message costs and how many there are;
// with one an open loop, and what its clients see.
#pragma once

#include <vector>

#include "comparison.hpp"
#include "way.hpp"

namespace hinge::bench {

/// `options` and `all` outlive it. Throws std::runtime_error when this machine can't do it.
way loads(const compare_options& options, server_work work, const std::vector<contender>& all,
          const std::vector<unsigned>& cpus);

}  // namespace hinge::bench
