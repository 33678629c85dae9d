#include "sweep_command.hpp"

#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "output_file.hpp"
#include "stored_files.hpp"
#include "sweep_report.hpp"

namespace hinge::bench {

namespace {

exit_code outcome_of(const load_arguments& given, const sweep& rates) {
  if (rates.answered()) {
    const double most = rates.highest()->shown.asked.rate;
    if (most >= given.wanted.least_rate) return measured;
    return miss(fmt::format("it follows up to {:.0f} per second, wanted {:.0f} at least", most,
                            given.wanted.least_rate));
  }
  if (rates.bound() == nullptr && !rates.steps().back().shown.found.nothing_answers) return invalid;
  return miss(fmt::format("no step has followed: {}", rates.end()));
}

}  // namespace

exit_code run_sweep(load_arguments& given, load_runner& loads, const std::atomic<bool>& stop) {
  sweep rates(*given.swept, given.wanted.most_p99);
  while (const std::optional<double> rate = rates.next()) {
    given.load.rate = *rate;
    report shown = loads.measure(stop);
    std::vector<finding> flaws = flaws_of(shown);
    rates.add(std::move(shown), std::move(flaws));
  }
  fmt::print(given.stdout_is_taken() ? stderr : stdout, "{}", to_table(rates));
  bool written = write_result(given.json_path, given.html_path, to_json(rates));
  written = write_to(given.csv_path, to_csv(rates)) && written;
  written = write_to(given.markdown_path, to_markdown(rates)) && written;
  const exit_code outcome = stop ? interrupted : outcome_of(given, rates);
  return written || outcome == interrupted ? outcome : missed;
}

}  // namespace hinge::bench
