// hinge-bench compare.
#pragma once

#include <atomic>
#include <string>

#include "command_line.hpp"
#include "comparison.hpp"

namespace hinge::bench {

struct compare_arguments {
  compare_options asked = {};
  std::string baseline_path;
  std::string json_path;
  std::string html_path;
  std::string csv_path;
  std::string markdown_path;
  bool quiet = false;  ///< no progress line
};

/// On another system than Linux there is no comparing, nor a server that is started as a process:
/// these, find_contender() and server_process say so there.
void add_compare_options(command line, compare_arguments& into);

/// An exit_code. Throws units::unit_error and std::runtime_error.
int run_command(compare_arguments given, const std::atomic<bool>& stop);

}  // namespace hinge::bench
