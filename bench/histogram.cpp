#include "histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace hinge::bench {

namespace {

unsigned floor_log2(std::int64_t value) noexcept {
  return static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(value))) - 1;
}

void check(const histogram_range& range) {
  if (range.digits < 1 || range.digits > 5) {
    throw std::invalid_argument("histogram: digits must be 1 to 5");
  }
  if (range.lowest < 1 || range.highest / 2 < range.lowest) {
    throw std::invalid_argument(
        "histogram: lowest must be at least 1, highest at least twice that");
  }
  if (range.lowest > std::numeric_limits<std::int64_t>::max() >> 19) {
    throw std::invalid_argument("histogram: lowest is too large for a linear part above it");
  }
}

}  // namespace

histogram::histogram(const histogram_range& range) : range_(range) {
  check(range);
  unit_bits_ = floor_log2(range.lowest);
  std::int64_t linear = 2;
  for (int digit = 0; digit < range.digits; ++digit) linear *= 10;
  linear_bits_ = floor_log2(linear - 1) + 1;
  counts_.resize(cell(range.highest) + 1);
}

// How often the width of a cell has doubled where `value` stands: the number of its bucket.
unsigned histogram::doublings(std::int64_t value) const noexcept {
  const unsigned linear_top = unit_bits_ + linear_bits_ - 1;
  return floor_log2(value | std::int64_t{1} << linear_top) - linear_top;
}

std::size_t histogram::cell(std::int64_t value) const noexcept {
  const unsigned bucket = doublings(value);
  // Bucket 0 has 2^k cells, each further one 2^(k-1): the upper half, as the lower is the bucket
  // before.
  return (std::size_t{bucket} << (linear_bits_ - 1)) +
         static_cast<std::size_t>(value >> (bucket + unit_bits_));
}

std::int64_t histogram::cell_start(std::size_t index) const noexcept {
  const std::size_t half = std::size_t{1} << (linear_bits_ - 1);
  const std::size_t bucket = index < 2 * half ? 0 : index / half - 1;
  return static_cast<std::int64_t>(index - bucket * half) << (bucket + unit_bits_);
}

double histogram::cell_middle(std::size_t index) const noexcept {
  const std::int64_t start = cell_start(index);
  const std::int64_t width = highest_equivalent(start) - start + 1;
  return static_cast<double>(start + width / 2);
}

std::int64_t histogram::lowest_equivalent(std::int64_t value) const noexcept {
  const unsigned shift = doublings(value) + unit_bits_;
  return value >> shift << shift;
}

std::int64_t histogram::highest_equivalent(std::int64_t value) const noexcept {
  return lowest_equivalent(value) + ((std::int64_t{1} << (doublings(value) + unit_bits_)) - 1);
}

void histogram::record(std::int64_t value, std::uint64_t times) noexcept {
  if (times == 0) return;
  if (value < 0 || value > range_.highest) {
    clamped_ += times;
    value = value < 0 ? 0 : range_.highest;
  }
  counts_[cell(value)] += times;
  smallest_ = count_ == 0 ? value : std::min(smallest_, value);
  largest_ = std::max(largest_, value);
  count_ += times;
}

void histogram::merge(const histogram& other) {
  if (!(other.range_ == range_)) {
    throw std::invalid_argument("histogram: merge of different ranges");
  }
  if (other.count_ == 0) return;
  for (std::size_t index = 0; index < counts_.size(); ++index) {
    counts_[index] += other.counts_[index];
  }
  smallest_ = count_ == 0 ? other.smallest_ : std::min(smallest_, other.smallest_);
  largest_ = std::max(largest_, other.largest_);
  count_ += other.count_;
  clamped_ += other.clamped_;
}

void histogram::clear() noexcept {
  std::fill(counts_.begin(), counts_.end(), 0);
  count_ = clamped_ = 0;
  smallest_ = largest_ = 0;
}

std::int64_t histogram::min() const noexcept { return lowest_equivalent(smallest_); }

std::int64_t histogram::max() const noexcept {
  return count_ == 0 ? 0 : highest_equivalent(largest_);
}

double histogram::mean() const noexcept {
  if (count_ == 0) return 0;
  double sum = 0;
  for (std::size_t index = 0; index < counts_.size(); ++index) {
    if (counts_[index] == 0) continue;
    sum += cell_middle(index) * static_cast<double>(counts_[index]);
  }
  return sum / static_cast<double>(count_);
}

double histogram::deviation() const noexcept {
  if (count_ == 0) return 0;
  const double middle = mean();
  double squares = 0;
  for (std::size_t index = 0; index < counts_.size(); ++index) {
    if (counts_[index] == 0) continue;
    const double distance = cell_middle(index) - middle;
    squares += distance * distance * static_cast<double>(counts_[index]);
  }
  return std::sqrt(squares / static_cast<double>(count_));
}

std::uint64_t histogram::count_up_to(std::int64_t value) const noexcept {
  const auto end = counts_.begin() + static_cast<std::ptrdiff_t>(cell(value)) + 1;
  return std::accumulate(counts_.begin(), end, std::uint64_t{0});
}

std::int64_t histogram::percentile(double percent) const noexcept {
  if (count_ == 0) return 0;
  // One step down, so that 99.9 % of 1000, which is 999.0000000000001 in doubles, asks for 999
  // values.
  const double share = std::nextafter(std::clamp(percent, 0.0, 100.0), 0.0) / 100;
  const double wanted = std::ceil(share * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t index = 0; index < counts_.size(); ++index) {
    seen += counts_[index];
    const std::int64_t start = cell_start(index);
    if (seen >= rank) return percent > 0 ? highest_equivalent(start) : start;
  }
  return max();
}

}  // namespace hinge::bench
