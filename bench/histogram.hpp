// A histogram of durations in HdrHistogram's log-linear layout: the relative error is bounded over
// the whole range, recording costs the same for each value, and nothing is allocated after
// construction.
//
// Layout: the values below 2^k units stand one by one, with 2^k >= 2 * 10^digits. Each further
// bucket spans twice as much and has 2^(k-1) cells, each twice as wide as those of the bucket
// before. So a cell is never wider than 1 / 10^digits of the values in it. All values of a cell are
// "equivalent".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hinge::bench {

/// What a histogram can tell apart.
struct histogram_range {
  std::int64_t lowest = 1;                   ///< smallest step told apart, >= 1
  std::int64_t highest = 3'600'000'000'000;  ///< largest value kept, >= 2 * lowest; 1 h in ns
  int digits = 3;                            ///< significant decimal digits, 1 to 5

  friend bool operator==(const histogram_range&, const histogram_range&) = default;
};

/// Counts values of 0 to `highest`. One thread at a time; merge() brings threads together.
class histogram {
public:
  /// Allocates all there is to allocate: about 270 KB for the default range. Throws
  /// std::invalid_argument when the range is outside of the limits above.
  explicit histogram(const histogram_range& range = {});

  /// O(1). A value below 0 counts as 0, one above `highest` as `highest`; see clamped().
  void record(std::int64_t value) noexcept { record(value, 1); }
  void record(std::int64_t value, std::uint64_t times) noexcept;

  /// Adds the counts of `other`. Throws std::invalid_argument unless the ranges are the same.
  void merge(const histogram& other);

  /// Forgets all values; keeps the memory.
  void clear() noexcept;

  std::uint64_t count() const noexcept { return count_; }
  /// How many values were outside of 0 to `highest`: above 0, the percentiles are bounds only.
  std::uint64_t clamped() const noexcept { return clamped_; }

  /// The figures below are HdrHistogram's definitions; each is 0 while nothing has been recorded.
  /// The lower end of the cell of the smallest value, the upper end of the cell of the largest.
  std::int64_t min() const noexcept;
  std::int64_t max() const noexcept;
  /// Each value taken as the middle of its cell.
  double mean() const noexcept;
  /// The upper end of the cell that holds the value at `percent` (0 to 100; others are clamped): at
  /// least that share of all values is equivalent to it or below it. At 0 it is min().
  std::int64_t percentile(double percent) const noexcept;
  /// The standard deviation from mean(), of the same middles.
  double deviation() const noexcept;
  /// How many values are at most equivalent to `value` (0 to `highest`).
  std::uint64_t count_up_to(std::int64_t value) const noexcept;

  std::size_t buckets() const noexcept { return doublings(range_.highest) + 1; }
  std::size_t cells_of_first_bucket() const noexcept { return std::size_t{1} << linear_bits_; }

  const histogram_range& range() const noexcept { return range_; }
  /// The ends of the cell that `value` (0 to `highest`) falls into: the promised error, in the
  /// open.
  std::int64_t lowest_equivalent(std::int64_t value) const noexcept;
  std::int64_t highest_equivalent(std::int64_t value) const noexcept;

private:
  unsigned doublings(std::int64_t value) const noexcept;
  std::size_t cell(std::int64_t value) const noexcept;
  std::int64_t cell_start(std::size_t index) const noexcept;
  double cell_middle(std::size_t index) const noexcept;

  histogram_range range_;
  unsigned unit_bits_ = 0;    // log2 of the smallest step, rounded down
  unsigned linear_bits_ = 0;  // k of the layout above
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t clamped_ = 0;
  std::int64_t smallest_ = 0;
  std::int64_t largest_ = 0;
};

}  // namespace hinge::bench
