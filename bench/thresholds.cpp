#include "thresholds.hpp"

#include <fmt/format.h>

namespace hinge::bench {

std::string shortfall(const thresholds& wanted, const report& shown) {
  const histogram& times = shown.asked.rate > 0 ? shown.found.latency : shown.found.service;
  if (wanted.most_p99 && times.percentile(99) > wanted.most_p99->count()) {
    return fmt::format("the 99th percentile is {}, wanted {} at most",
                       short_time(static_cast<double>(times.percentile(99))),
                       short_time(static_cast<double>(wanted.most_p99->count())));
  }
  if (shown.per_second() < wanted.least_rate) {
    return fmt::format("{:.0f} per second, wanted {:.0f} at least", shown.per_second(),
                       wanted.least_rate);
  }
  if (shown.command.empty()) return {};
  if (shown.lost() != 0) return fmt::format("{} lost", shown.lost());
  return shown.all_ran_well() ? "" : "the command has failed";
}

}  // namespace hinge::bench
