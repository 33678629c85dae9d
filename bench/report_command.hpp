// hinge-bench report.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "command_line.hpp"

namespace hinge::bench {

struct report_arguments {
  std::vector<std::string> stored;  ///< results, as --json wrote them
  std::string html_path;
};

void add_report_options(command line, report_arguments& into);

/// An exit_code. Throws units::unit_error and stored_error.
int run_command(report_arguments given, const std::atomic<bool>& stop);

}  // namespace hinge::bench
