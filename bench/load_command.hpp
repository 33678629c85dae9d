// hinge-bench accept, crr, echo and their like: a load, or a sweep of them.
#pragma once

#include <hinge/backend.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "command_line.hpp"
#include "load.hpp"
#include "sweep.hpp"
#include "thresholds.hpp"

namespace hinge::bench {

struct load_arguments {
  load_options load = {};
  std::optional<std::uint32_t> connections;  ///< of all kinds; else they are chosen
  std::optional<sweep_range> swept;          ///< rates in place of one
  bool closed = false;                       ///< no rate, though the workload has one
  double slow_share = 0.1;                   ///< of the connections, of the workload slow
  bool targeted = false;
  std::optional<backend_list> served_on;  ///< a server of its own; else load.target
  std::string served_by;                  ///< the same, as a process: a contender's name
  std::string command;                    ///< of the workload restart
  unsigned times = 1;                     ///< that it is run
  int server_process = 0;                 ///< whose CPU time is told; 0: nobody's
  thresholds wanted = {};
  std::string json_path;
  std::string hdr_path;
  std::string csv_path;
  std::string markdown_path;
  std::string html_path;
  bool quiet = false;  ///< no progress line
  bool lists = false;  ///< the backends, and no load

  /// Whether standard output is that of a report in another form than the table's.
  bool stdout_is_taken() const;
};

void add_load_options(command line, load_arguments& into, workload work);
/// What the others imply, once they were read. Throws units::unit_error when they don't go
/// together.
void complete_load(load_arguments& given, workload work, const command& line);

/// An exit_code. Throws units::unit_error and std::runtime_error.
int run_command(load_arguments given, const std::atomic<bool>& stop);

}  // namespace hinge::bench
