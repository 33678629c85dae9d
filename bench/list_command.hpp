// hinge-bench --backend list.
#pragma once

#include <atomic>
#include <string>

#include "command_line.hpp"

namespace hinge::bench {

struct list_arguments {
  bool given = false;
  std::string json_path;
};

/// Those of the program itself, in place of a command.
void add_list_options(command line, list_arguments& into);

/// An exit_code.
int run_command(list_arguments given, const std::atomic<bool>& stop);

}  // namespace hinge::bench
