#include "percentile_text.hpp"

#include <fmt/format.h>

#include "percentile_curve.hpp"

namespace hinge::bench {

namespace {

constexpr double ns_per_ms = 1e6;

}  // namespace

std::string percentile_text(const histogram& times) {
  std::string text = fmt::format("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile",
                                 "TotalCount", "1/(1-Percentile)");
  for (const auto& [percent, value, count] : percentile_curve(times)) {
    text += fmt::format("{:>12.6f} {:.12f} {:>10}", static_cast<double>(value) / ns_per_ms,
                        percent / 100, count);
    if (percent < 100) text += fmt::format(" {:>14.2f}", 1 / (1 - percent / 100));
    text += '\n';
  }
  text += fmt::format("#[Mean    = {:>12.6f}, StdDeviation   = {:>12.6f}]\n",
                      times.mean() / ns_per_ms, times.deviation() / ns_per_ms);
  text += fmt::format("#[Max     = {:>12.6f}, Total count    = {:>12}]\n",
                      static_cast<double>(times.max()) / ns_per_ms, times.count());
  return text + fmt::format("#[Buckets = {:>12}, SubBuckets     = {:>12}]\n", times.buckets(),
                            times.cells_of_first_bucket());
}

}  // namespace hinge::bench
