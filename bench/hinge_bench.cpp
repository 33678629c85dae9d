// hinge-bench: loads a server with connections and says what came back. The server is another
// program's, or hinge's own in a thread of this process.
//
// Exit codes: 0 measured; 1 what was wanted is missed: a threshold, a restart without loss, an
// answer at all, a written report; 2 bad arguments; 3 this machine's limits don't permit the load;
// 4 the figures aren't valid; 130 interrupted, with what there was.
#include <hinge/error.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_list.hpp"
#include "bench_options.hpp"
#include "compare_command.hpp"
#include "exit_code.hpp"
#include "load.hpp"
#include "mid_load.hpp"
#include "output_file.hpp"
#include "own_server.hpp"
#include "page.hpp"
#include "percentile_text.hpp"
#include "print_error.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "report_fields.hpp"
#include "report_json.hpp"
#include "report_table.hpp"
#include "server_hold.hpp"
#include "server_memory.hpp"
#include "server_process.hpp"
#include "stored_files.hpp"
#include "stored_result.hpp"
#include "sweep.hpp"
#include "sweep_report.hpp"
#include "thresholds.hpp"
#include "units.hpp"
#include "verdict.hpp"

namespace {

using namespace hinge::bench;

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_interrupt(int) { stop = true; }

/// Whether standard output is that of a report in another form than the table's.
bool stdout_is_taken(const arguments& given) {
  const std::array paths = {given.json_path, given.hdr_path, given.csv_path, given.markdown_path,
                            given.html_path};
  return std::find(paths.begin(), paths.end(), "-") != paths.end();
}

/// As write_to(); the table goes to stderr when something else has stdout.
bool write_report(const arguments& given, const report& shown, const std::vector<finding>& flaws) {
  fmt::print(stdout_is_taken(given) ? stderr : stdout, "{}", to_table(shown, flaws));
  bool written = write_result(given.json_path, given.html_path, to_json(shown, flaws));
  const report_fields fields = fields_of(shown, flaws);
  written = write_to(given.csv_path, to_csv(fields)) && written;
  written = write_to(given.markdown_path, to_markdown(fields)) && written;
  if (given.hdr_path.empty()) return written;
  // A plot would show nothing of the verdict.
  if (!flaws.empty()) {
    hinge::print_error("hinge-bench: {}: not written, as the figures aren't valid\n",
                       given.hdr_path);
    return written;
  }
  const histogram& times = given.load.rate > 0 ? shown.found.latency : shown.found.service;
  return write_to(given.hdr_path, percentile_text(times)) && written;
}

/// The server that `given` asks for, as its target. Another backend than the preferred is told.
void serve_here(arguments& given, std::optional<own_server>& server) {
  const bool greets = given.load.work == workload::accept;
  server.emplace(*given.served_on, given.load.connections + given.load.beside.connections, greets);
  given.load.target = server->where();
  const hinge::backend_choice& choice = server->poller().choice();
  if (choice.fell_back()) hinge::print_error("hinge-bench: {}\n", choice.text());
}

report measure(arguments& given, own_server* server) {
  observation before;
  memory_growth memory;
  const int process = server != nullptr ? getpid() : given.server_process;
  const auto memory_now = [process] { return memory_of_process(process); };
  given.load.on_prepare = [&] { memory.before = memory_now().value_or(0); };
  given.load.on_prepared = [&] { memory.prepared = memory_now().value_or(0); };
  server_hold process_hold(process);
  if (given.load.work == workload::burst) {
    given.load.hold = [&process_hold, server](bool held) {
      if (server != nullptr) return server->hold(held);
      process_hold.set(held);
    };
  }
  observation seen;
  const auto look = [&](observation& into) {
    into.kernel = read_kernel_counts();
    into.server = server != nullptr ? server->used() : usage_of_process(given.server_process);
  };
  given.load.on_begin = [&] { look(before); };
  given.load.on_end = [&] {
    look(seen);
    const std::optional<std::uint64_t> end = memory_now();
    memory.end = end.value_or(0);
    if (end && memory.before != 0) seen.memory = memory;
    seen.kernel = seen.kernel - before.kernel;
    if (!before.server) seen.server.reset();
    if (seen.server) seen.server = *seen.server - *before.server;
  };
  load_progress progress;
  std::optional<progress_line> line;
  if (!given.quiet && shows_progress()) {
    given.load.progress = &progress;
    line.emplace(progress, given.load.warmup + given.load.duration);
  }
  std::optional<mid_load_command> command;
  if (!given.command.empty())
    command.emplace(given.command, given.times, given.load.warmup, given.load.duration);
  report shown{given.load, run_load(given.load, stop), seen, read_environment()};
  if (server != nullptr) shown.backend = server->poller().name();
  shown.command = given.command;
  if (command) shown.runs = command->finish(given.load.timeout);
  return shown;
}

exit_code miss(const std::string& why) {
  hinge::print_error("hinge-bench: {}\n", why);
  return missed;
}

exit_code outcome_of(const arguments& given, const report& shown, bool valid) {
  if (shown.found.interrupted) return interrupted;
  const std::string target = given.load.target.text();
  if (shown.found.nothing_answers) return miss("nothing answers at " + target);
  if (shown.found.completed == 0) return miss("nothing was completed at " + target);
  if (!valid) return invalid;
  const std::string why = shortfall(given.wanted, shown);
  return why.empty() ? measured : miss(why);
}

exit_code outcome_of(const arguments& given, const sweep& rates) {
  if (stop) return interrupted;
  if (rates.answered()) {
    const double most = rates.highest()->shown.asked.rate;
    if (most >= given.wanted.least_rate) return measured;
    return miss(fmt::format("it follows up to {:.0f} per second, wanted {:.0f} at least", most,
                            given.wanted.least_rate));
  }
  if (rates.bound() == nullptr && !rates.steps().back().shown.found.nothing_answers) return invalid;
  return miss(fmt::format("no step has followed: {}", rates.end()));
}

exit_code run_sweep(arguments& given, own_server* server) {
  sweep rates(*given.swept, given.wanted.most_p99);
  while (const std::optional<double> rate = rates.next()) {
    given.load.rate = *rate;
    report shown = measure(given, server);
    std::vector<finding> flaws = flaws_of(shown);
    rates.add(std::move(shown), std::move(flaws));
  }
  fmt::print(stdout_is_taken(given) ? stderr : stdout, "{}", to_table(rates));
  bool written = write_result(given.json_path, given.html_path, to_json(rates));
  written = write_to(given.csv_path, to_csv(rates)) && written;
  written = write_to(given.markdown_path, to_markdown(rates)) && written;
  const exit_code outcome = outcome_of(given, rates);
  return written || outcome == interrupted ? outcome : missed;
}

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int run(arguments given) {
  given.load.threads = std::min(given.load.threads, given.load.connections);
  if (!given.targeted) given.load.target = hinge::address::loopback(0);
  if (const auto missing = obstacle(given.load, given.served_on.has_value())) {
    hinge::print_error("hinge-bench: {}\n", *missing);
    return unfit;
  }
  std::optional<own_server> server;
  if (given.served_on) serve_here(given, server);
  std::optional<server_process> started;
  if (!given.served_by.empty()) {
    const bool greets = given.load.work == workload::accept;
    started.emplace(find_contender(given.served_by), greets ? server_work::ac : server_work::echo);
    given.load.target = hinge::address::loopback(started->port());
    given.server_process = started->process();
  }
  stop_on_signals();

  own_server* const here = server ? &*server : nullptr;
  if (given.swept) return run_sweep(given, here);
  report shown = measure(given, here);
  if (started) shown.backend = given.served_by;
  const std::vector<finding> flaws = flaws_of(shown);
  const bool written = write_report(given, shown, flaws);
  const exit_code outcome = outcome_of(given, shown, flaws.empty());
  return written || outcome == interrupted ? outcome : missed;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (const auto ended = serve_as_contender(argc, argv)) return *ended;
    arguments given;
    if (const auto ended = parse_options(argc, argv, given)) return *ended;
    if (given.lists) {
      const hinge::backend_listing listing = hinge::list_backends("hinge-bench");
      fmt::print(given.json_path == "-" ? stderr : stdout, "{}", listing.text);
      return write_to(given.json_path, listing.json) ? measured : missed;
    }
    if (!given.stored.empty())
      return write_to(given.html_path, to_page(read_files(given.stored))) ? measured : missed;
    if (given.compared) {
      stop_on_signals();
      return run_compare(*given.compared, stop);
    }
    return run(given);
  } catch (const hinge::units::unit_error& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return usage;
  } catch (const stored_error& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return usage;
  } catch (const std::exception& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return unfit;
  }
}
