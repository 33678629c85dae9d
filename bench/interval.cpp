#include "interval.hpp"

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

namespace hinge::bench {

namespace {

constexpr std::size_t samples = 10'000;

/// Reorders `values`.
double median_in_place(std::span<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

}  // namespace

double median_of(std::span<const double> values) {
  if (values.empty()) return 0;
  std::vector<double> copy(values.begin(), values.end());
  return median_in_place(copy);
}

interval bootstrap_median(std::span<const double> values, std::uint64_t seed) {
  if (values.empty()) return {};
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::size_t> draw(0, values.size() - 1);
  std::vector<double> sample(values.size());
  std::vector<double> medians(samples);
  for (double& median : medians) {
    for (double& value : sample) value = values[draw(random)];
    median = median_in_place(sample);
  }
  std::sort(medians.begin(), medians.end());
  return {median_of(values), medians[samples * 25 / 1000], medians[samples * 975 / 1000]};
}

}  // namespace hinge::bench
