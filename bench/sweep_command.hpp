// hinge-bench accept, crr, echo and their like, with --sweep.
#pragma once

#include <atomic>

#include "exit_code.hpp"
#include "load_runner.hpp"

namespace hinge::bench {

/// One load after the other, and what they have shown together. `given` is that of `loads`.
exit_code run_sweep(load_arguments& given, load_runner& loads, const std::atomic<bool>& stop);

}  // namespace hinge::bench
