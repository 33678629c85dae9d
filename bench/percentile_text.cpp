#include "percentile_text.hpp"

#include <cmath>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

constexpr double ns_per_ms = 1e6;
constexpr double steps_to_half = 5;

/// The percentile after `percent`: the steps are a half as wide each time that half of the rest is
/// behind.
double next_level(double percent) noexcept {
  const double halvings = std::floor(std::log2(100 / (100 - percent))) + 1;
  return percent + 100 / (steps_to_half * std::exp2(halvings));
}

}  // namespace

std::string percentile_text(const histogram& times) {
  std::string text = fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile",
                                 "TotalCount", "1/(1-Percentile)");
  for (double percent = 0; times.count() > 0; percent = next_level(percent)) {
    const std::int64_t value = times.percentile(percent);
    const std::uint64_t count = times.count_up_to(value);
    if (count >= times.count()) break;
    text +=
        fmt::format("{:>12.6f} {:.12f} {:>10} {:>14.2f}\n", static_cast<double>(value) / ns_per_ms,
                    percent / 100, count, 1 / (1 - percent / 100));
  }
  const double most = static_cast<double>(times.max()) / ns_per_ms;
  if (times.count() > 0)
    text += fmt::format("{:>12.6f} {:.12f} {:>10}\n", most, 1.0, times.count());
  text += fmt::format("#[Mean    = {:>12.6f}, StdDeviation   = {:>12.6f}]\n",
                      times.mean() / ns_per_ms, times.deviation() / ns_per_ms);
  text += fmt::format("#[Max     = {:>12.6f}, Total count    = {:>12}]\n", most, times.count());
  return text + fmt::format("#[Buckets = {:>12}, SubBuckets     = {:>12}]\n", times.buckets(),
                            times.cells_of_first_bucket());
}

}  // namespace hinge::bench
