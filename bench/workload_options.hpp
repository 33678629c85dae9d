// The options that only some workloads have.
#pragma once

#include "command_line.hpp"
#include "load_command.hpp"

namespace hinge::bench {

/// Adds those of `work`, which refer to `into`.
void add_workload_options(command line, load_arguments& into, workload work);

/// Whether operations begin on a schedule though no rate is given: where latency is what is asked.
bool is_open_by_default(workload work) noexcept;

/// What isn't given and follows from the workload and the rest, as how many connections. Throws
/// units::unit_error.
void complete_workload(load_arguments& given, const command& command);

}  // namespace hinge::bench
