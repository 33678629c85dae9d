#include "percentile_curve.hpp"

#include <cmath>

namespace hinge::bench {

namespace {

constexpr double steps_to_half = 5;

/// The percentile after `percent`: the steps are a half as wide each time that half of the rest is
/// behind.
double next_level(double percent) noexcept {
  const double halvings = std::floor(std::log2(100 / (100 - percent))) + 1;
  return percent + 100 / (steps_to_half * std::exp2(halvings));
}

}  // namespace

std::vector<percentile_point> percentile_curve(const histogram& times) {
  std::vector<percentile_point> curve;
  if (times.count() == 0) return curve;
  for (double percent = 0;; percent = next_level(percent)) {
    const std::int64_t value = times.percentile(percent);
    const std::uint64_t count = times.count_up_to(value);
    if (count >= times.count()) break;
    curve.push_back({percent, value, count});
  }
  curve.push_back({100, times.max(), times.count()});
  return curve;
}

}  // namespace hinge::bench
