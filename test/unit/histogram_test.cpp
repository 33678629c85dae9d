// The histogram against the sorted values themselves, within the error that its range promises.
#include "histogram.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

using hinge::bench::histogram;
using hinge::bench::histogram_range;

namespace {

constexpr double shares[] = {0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100};

/// The value at `percent` of sorted values: the smallest that has that share at or below it.
std::int64_t exact_percentile(const std::vector<std::int64_t>& sorted, double percent) {
  const auto rank = static_cast<std::size_t>(
      std::ceil(percent / 100 * static_cast<double>(sorted.size()) - 1e-6));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

std::vector<std::int64_t> spread_values(std::uint64_t seed, std::size_t count,
                                        std::int64_t highest) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(0, std::log(static_cast<double>(highest)));
  std::vector<std::int64_t> values(count);
  for (auto& value : values) value = static_cast<std::int64_t>(std::exp(exponent(random)));
  return values;
}

}  // namespace

TEST_CASE("percentiles are those of the sorted values, within the promised digits") {
  const int digits = GENERATE(1, 2, 3, 4, 5);
  const std::uint64_t seed = GENERATE(1, 2, 3);
  const histogram_range range{1, 3'600'000'000'000, digits};
  histogram tested(range);
  auto values = spread_values(seed, 20'000, range.highest);
  for (const auto value : values) tested.record(value);
  std::sort(values.begin(), values.end());

  const double error = std::pow(10.0, -digits);
  for (const double share : shares) {
    CAPTURE(digits, seed, share);
    const std::int64_t exact = exact_percentile(values, share);
    const std::int64_t told = tested.percentile(share);
    CHECK(std::abs(static_cast<double>(told - exact)) <= error * static_cast<double>(exact));
    CHECK(told == (share > 0 ? tested.highest_equivalent(exact) : tested.lowest_equivalent(exact)));
  }
  CHECK(tested.count() == values.size());
  CHECK(tested.clamped() == 0);
  CHECK(tested.min() == tested.lowest_equivalent(values.front()));
  CHECK(tested.max() == tested.highest_equivalent(values.back()));
  double sum = 0;
  for (const auto value : values) sum += static_cast<double>(value);
  CHECK_THAT(tested.mean(),
             Catch::Matchers::WithinRel(sum / static_cast<double>(values.size()), error));
}

TEST_CASE("values that stand one by one are exact") {
  histogram tested;
  for (std::int64_t value = 1; value <= 1000; ++value) tested.record(value);
  CHECK(tested.percentile(50) == 500);
  CHECK(tested.percentile(99.9) == 999);
  CHECK(tested.percentile(99.91) == 1000);
  CHECK(tested.percentile(100) == 1000);
  CHECK(tested.percentile(0) == 1);
  CHECK(tested.min() == 1);
  CHECK(tested.max() == 1000);
  CHECK(tested.mean() == 500.5);
}

TEST_CASE("the layout is HdrHistogram's") {
  // The example of its documentation: 3 digits tell 1 us apart up to 2047 us, then 2 us, then 4 us.
  const histogram tested({1, 3'600'000'000, 3});
  CHECK(tested.highest_equivalent(2047) == 2047);
  CHECK(tested.lowest_equivalent(2049) == 2048);
  CHECK(tested.highest_equivalent(2048) == 2049);
  CHECK(tested.lowest_equivalent(4099) == 4096);
  CHECK(tested.highest_equivalent(4096) == 4099);
  // A coarser step: it is cut to a power of two, 512 here.
  const histogram coarse({1000, 3'600'000'000, 3});
  CHECK(coarse.lowest_equivalent(1023) == 512);
  CHECK(coarse.highest_equivalent(512) == 1023);
}

TEST_CASE("cells cover every value once, without a gap") {
  const histogram_range range =
      GENERATE(histogram_range{1, 100'000, 1}, histogram_range{1, 100'000, 2},
               histogram_range{7, 100'000, 1}, histogram_range{1000, 1'000'000, 3});
  const histogram tested(range);
  std::int64_t expected = 0;
  while (expected <= range.highest) {
    const std::int64_t end = tested.highest_equivalent(expected);
    CAPTURE(expected, end);
    REQUIRE(end >= expected);
    REQUIRE(tested.lowest_equivalent(expected) == expected);
    REQUIRE(tested.lowest_equivalent(end) == expected);
    expected = end + 1;
  }
}

TEST_CASE("an empty histogram says 0") {
  const histogram tested;
  CHECK(tested.count() == 0);
  CHECK(tested.percentile(50) == 0);
  CHECK(tested.percentile(100) == 0);
  CHECK(tested.min() == 0);
  CHECK(tested.max() == 0);
  CHECK(tested.mean() == 0);
}

TEST_CASE("a single value is every percentile") {
  const std::int64_t value = GENERATE(0, 1, 2047, 2048, 123'456'789, 3'600'000'000'000);
  histogram tested;
  tested.record(value);
  for (const double share : shares) {
    CHECK(tested.percentile(share) == (share > 0 ? tested.max() : tested.min()));
  }
  CHECK(tested.min() == tested.lowest_equivalent(value));
  CHECK(tested.max() == tested.highest_equivalent(value));
}

TEST_CASE("values outside of the range are clamped and counted") {
  histogram tested({1, 1000, 3});
  tested.record(-5);
  tested.record(1000);
  tested.record(1001);
  tested.record(std::numeric_limits<std::int64_t>::max(), 2);
  CHECK(tested.count() == 5);
  CHECK(tested.clamped() == 4);
  CHECK(tested.min() == 0);
  CHECK(tested.max() == 1000);
  CHECK(tested.percentile(-1) == 0);
  CHECK(tested.percentile(200) == 1000);
}

TEST_CASE("recording several at once equals recording each") {
  histogram once;
  histogram each;
  once.record(5'000'000, 1000);
  once.record(7, 0);
  for (int i = 0; i < 1000; ++i) each.record(5'000'000);
  CHECK(once.count() == each.count());
  CHECK(once.min() == each.min());
  CHECK(once.mean() == each.mean());
}

TEST_CASE("merged parts equal the whole") {
  histogram whole;
  histogram left;
  histogram right;
  const auto values = spread_values(11, 5000, 1'000'000'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    whole.record(values[i]);
    (i % 3 == 0 ? left : right).record(values[i]);
  }
  left.merge(right);
  left.merge(histogram());
  for (const double share : shares) CHECK(left.percentile(share) == whole.percentile(share));
  CHECK(left.count() == whole.count());
  CHECK(left.min() == whole.min());
  CHECK(left.max() == whole.max());
  CHECK(left.mean() == whole.mean());

  histogram taker;
  taker.merge(whole);
  CHECK(taker.min() == whole.min());
  CHECK_THROWS_AS(taker.merge(histogram({1, 1000, 3})), std::invalid_argument);
}

TEST_CASE("clear forgets the values") {
  histogram tested;
  tested.record(40);
  tested.record(-1);
  tested.clear();
  CHECK(tested.count() == 0);
  CHECK(tested.clamped() == 0);
  CHECK(tested.max() == 0);
  tested.record(99);
  CHECK(tested.min() == 99);
  CHECK(tested.percentile(100) == 99);
}

TEST_CASE("ranges that can't be kept are refused") {
  const histogram_range range =
      GENERATE(histogram_range{0, 1000, 3}, histogram_range{1, 1, 3}, histogram_range{1, 1000, 0},
               histogram_range{1, 1000, 6}, histogram_range{-4, 1000, 3},
               histogram_range{std::int64_t{1} << 50, std::int64_t{1} << 62, 3});
  CHECK_THROWS_AS(histogram(range), std::invalid_argument);
}
