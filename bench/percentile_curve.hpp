// The points of a histogram that draw its percentiles over 1 / (1 - p).
#pragma once

#include <cstdint>
#include <vector>

#include "histogram.hpp"

namespace hinge::bench {

struct percentile_point {
  double percent;       ///< 0 to 100
  std::int64_t value;   ///< as histogram::percentile()
  std::uint64_t count;  ///< of values at most equivalent to it
};

/// A point for each of five steps on the way to half of what is left above (0, 10, ... 50, 55, ...
/// 75, 77.5 %), up to where all values are reached: that is the last one, at 100 %. Of nothing:
/// none.
std::vector<percentile_point> percentile_curve(const histogram& times);

}  // namespace hinge::bench
