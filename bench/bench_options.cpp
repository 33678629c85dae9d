#include "bench_options.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "units.hpp"

namespace hinge::bench {

std::optional<int> parse_options(int argc, char** argv, command_arguments& into) {
  command_line line("hinge-bench", "Loads a server with connections and says what came back.");
  const std::array<std::pair<workload, command>, 8> loads = {{
      {workload::accept,
       line.add_command("accept", "connect, wait for the server's first byte or its close")},
      {workload::crr, line.add_command("crr", "connect, send, receive the same, close")},
      {workload::restart, line.add_command("restart",
                                           "crr by an open loop, while a command is run; "
                                           "counts what is lost")},
      {workload::echo, line.add_command("echo", "on kept connections: send, receive the same")},
      {workload::churn, line.add_command("churn", "crr on connections of mixed lifetimes")},
      {workload::idle, line.add_command("idle", "crr beside many connections that do nothing")},
      {workload::slow, line.add_command("slow", "crr beside slow and silent connections")},
      {workload::burst, line.add_command("burst", "fills the server's queue, then times it")},
  }};
  load_arguments load;
  for (const auto& [work, one] : loads) add_load_options(one, load, work);
  const command reporting = line.add_command("report", "a page of stored results: no load is made");
  report_arguments report;
  add_report_options(reporting, report);
  const command comparing = line.add_command(
      "compare", "servers with one another: the CPU time of an operation, and what is counted");
  compare_arguments compared;
  add_compare_options(comparing, compared);
  list_arguments list;
  add_list_options(line, list);
  line.version("hinge-bench " HINGE_VERSION);
  line.footer(
      "Times: ns, us, ms, s, m, h (500ms). Counts and bytes: k, M, G; KiB, MiB, GiB (10k, 64KiB).");
  if (const auto ended = line.parse(argc, argv)) return ended;
  const auto asked =
      std::find_if(loads.begin(), loads.end(), [](const auto& one) { return one.second.given(); });
  if (load.lists) list = {true, load.json_path};
  if (list.given) {
    into = std::move(list);
  } else if (reporting.given()) {
    into = std::move(report);
  } else if (comparing.given()) {
    into = std::move(compared);
  } else if (asked != loads.end()) {
    complete_load(load, asked->first, asked->second);
    into = std::move(load);
  } else {
    throw units::unit_error(
        "say what to do: accept, crr, echo, churn, idle, slow, burst, restart, compare or report");
  }
  return {};
}

}  // namespace hinge::bench
