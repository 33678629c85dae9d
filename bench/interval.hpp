// The median of repeated measurements, and how far it can be trusted.
#pragma once

#include <cstdint>
#include <span>

namespace hinge::bench {

/// The median and its 95 % interval.
struct interval {
  double median = 0;
  double low = 0;
  double high = 0;
};

/// Of an even number of values the mean of the two in the middle; 0 of none.
double median_of(std::span<const double> values);

/// By the percentile bootstrap: medians of 10,000 samples drawn with replacement, of which 95 % lie
/// in the interval. No distribution is assumed; the values have to be independent of one another.
/// The same seed gives the same interval.
interval bootstrap_median(std::span<const double> values, std::uint64_t seed);

}  // namespace hinge::bench
