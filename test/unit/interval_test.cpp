// The median and its bootstrap interval, against what is known exactly.
#include "interval.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <vector>

using hinge::bench::bootstrap_median;
using hinge::bench::interval;
using hinge::bench::median_of;

TEST_CASE("medians") {
  CHECK(median_of(std::vector<double>{}) == 0);
  CHECK(median_of(std::vector<double>{7}) == 7);
  CHECK(median_of(std::vector<double>{9, 1, 5}) == 5);
  CHECK(median_of(std::vector<double>{4, 1, 3, 2}) == 2.5);
}

TEST_CASE("equal values have an interval without width") {
  const interval found = bootstrap_median(std::vector<double>(20, 1.25), 1);
  CHECK(found.median == 1.25);
  CHECK(found.low == 1.25);
  CHECK(found.high == 1.25);
}

TEST_CASE("the interval contains the median and depends on the seed alone") {
  std::mt19937_64 random(5);
  std::normal_distribution<double> spread(10, 2);
  std::vector<double> values(61);
  for (double& value : values) value = spread(random);
  const interval found = bootstrap_median(values, 3);
  const interval again = bootstrap_median(values, 3);
  CHECK(found.low < found.median);
  CHECK(found.median < found.high);
  CHECK(found.low == again.low);
  CHECK(found.high == again.high);
}

TEST_CASE("about 95 of 100 intervals contain the true median") {
  std::mt19937_64 random(17);
  std::exponential_distribution<double> skewed(1);
  constexpr double true_median = 0.6931471805599453;  // ln 2
  int hits = 0;
  for (std::uint64_t run = 0; run < 100; ++run) {
    std::vector<double> values(60);
    for (double& value : values) value = skewed(random);
    const interval found = bootstrap_median(values, run);
    hits += found.low <= true_median && true_median <= found.high;
  }
  CHECK(hits >= 89);
  CHECK(hits < 100);
}
