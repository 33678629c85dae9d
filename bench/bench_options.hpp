// The command line of hinge-bench.
#pragma once

#include <optional>
#include <variant>

#include "compare_command.hpp"
#include "list_command.hpp"
#include "load_command.hpp"
#include "report_command.hpp"

namespace hinge::bench {

/// What the command line asks for; run_command() does it.
using command_arguments =
    std::variant<load_arguments, compare_arguments, report_arguments, list_arguments>;

/// Nothing when `into` is complete; else the exit code of --help, --version or a bad line. Throws
/// units::unit_error when what was given doesn't go together.
std::optional<int> parse_options(int argc, char** argv, command_arguments& into);

}  // namespace hinge::bench
