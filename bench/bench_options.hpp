// The command line of hinge-bench.
#pragma once

#include <hinge/backend.hpp>

#include <optional>
#include <string>
#include <vector>

#include "compare_command.hpp"
#include "load.hpp"
#include "sweep.hpp"
#include "thresholds.hpp"

namespace hinge::bench {

inline constexpr std::uint64_t most_rate = 10'000'000;  ///< operations a second

/// What the command line asks for.
struct arguments {
  load_options load = {};
  std::optional<std::uint32_t> connections;  ///< of all kinds; else they are chosen
  std::optional<sweep_range> swept;          ///< rates in place of one
  bool closed = false;                       ///< no rate, though the workload has one
  double slow_share = 0.1;                   ///< of the connections, of the workload slow
  bool targeted = false;
  std::optional<hinge::backend_list> served_on;  ///< a server of its own; else load.target
  std::string served_by;                         ///< the same, as a process: a contender's name
  std::optional<compare_arguments> compared;     ///< in place of a load
  std::string command;                           ///< of the workload restart
  unsigned times = 1;                            ///< that it is run
  int server_process = 0;                        ///< whose CPU time is told; 0: nobody's
  thresholds wanted = {};
  std::string json_path;
  std::string hdr_path;
  std::string csv_path;
  std::string markdown_path;
  std::string html_path;
  std::vector<std::string> stored;  ///< of the command report: results, and no load
  bool quiet = false;               ///< no progress line
  bool lists = false;               ///< the backends, and no more
};

/// Nothing when `into` is complete; else the exit code of --help, --version or a bad line. Throws
/// units::unit_error when what was given doesn't go together.
std::optional<int> parse_options(int argc, char** argv, arguments& into);

}  // namespace hinge::bench
