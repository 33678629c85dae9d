#include "load_command.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include "exit_code.hpp"
#include "load_runner.hpp"
#include "output_file.hpp"
#include "percentile_text.hpp"
#include "print_error.hpp"
#include "report_fields.hpp"
#include "report_json.hpp"
#include "report_table.hpp"
#include "stored_files.hpp"
#include "sweep_command.hpp"
#include "verdict.hpp"

namespace hinge::bench {

namespace {

/// As write_to(); the table goes to stderr when something else has stdout.
bool write_report(const load_arguments& given, const report& shown,
                  const std::vector<finding>& flaws) {
  fmt::print(given.stdout_is_taken() ? stderr : stdout, "{}", to_table(shown, flaws));
  bool written = write_result(given.json_path, given.html_path, to_json(shown, flaws));
  const report_fields fields = fields_of(shown, flaws);
  written = write_to(given.csv_path, to_csv(fields)) && written;
  written = write_to(given.markdown_path, to_markdown(fields)) && written;
  if (given.hdr_path.empty()) return written;
  // A plot would show nothing of the verdict.
  if (!flaws.empty()) {
    print_error("hinge-bench: {}: not written, as the figures aren't valid\n", given.hdr_path);
    return written;
  }
  const histogram& times = given.load.rate > 0 ? shown.found.latency : shown.found.service;
  return write_to(given.hdr_path, percentile_text(times)) && written;
}

exit_code outcome_of(const load_arguments& given, const report& shown, bool valid) {
  if (shown.found.interrupted) return interrupted;
  const std::string target = given.load.target.text();
  if (shown.found.nothing_answers) return miss("nothing answers at " + target);
  if (shown.found.completed == 0) return miss("nothing was completed at " + target);
  if (!valid) return invalid;
  const std::string why = shortfall(given.wanted, shown);
  return why.empty() ? measured : miss(why);
}

}  // namespace

bool load_arguments::stdout_is_taken() const {
  const std::array paths = {json_path, hdr_path, csv_path, markdown_path, html_path};
  return std::find(paths.begin(), paths.end(), "-") != paths.end();
}

int run_command(load_arguments given, const std::atomic<bool>& stop) {
  given.load.threads = std::min(given.load.threads, given.load.connections);
  if (!given.targeted) given.load.target = address::loopback(0);
  if (const auto missing = obstacle(given.load, given.served_on.has_value())) {
    print_error("hinge-bench: {}\n", *missing);
    return unfit;
  }
  load_runner loads(given);
  if (given.swept) return run_sweep(given, loads, stop);
  const report shown = loads.measure(stop);
  const std::vector<finding> flaws = flaws_of(shown);
  const bool written = write_report(given, shown, flaws);
  const exit_code outcome = outcome_of(given, shown, flaws.empty());
  return written || outcome == interrupted ? outcome : missed;
}

}  // namespace hinge::bench
