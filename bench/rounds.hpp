// Interleaved runs of who is compared, and the ratios that come of them. In each round everybody
// runs once, in random order, and the first of them, the reference, twice: whatever disturbs the
// machine for longer than a run disturbs all of a round, and the ratio of the reference to itself
// is the control that must contain 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "interval.hpp"

namespace hinge::bench {

class rounds {
public:
  /// The figures of one run, always as many. `who`: 0 is the reference; `contenders` is the
  /// reference once more, for the control.
  using run = std::function<std::vector<double>(std::size_t who)>;

  rounds(std::size_t contenders, std::uint64_t seed, run);

  void warm_up();  ///< a round that isn't counted
  void one();
  std::size_t done() const noexcept { return done_; }

  /// Of the figure; `who` as in run.
  double median(std::size_t who, std::size_t figure) const;
  /// Of the ratios to the reference, with their interval.
  interval ratio(std::size_t who, std::size_t figure) const;

private:
  using series = std::vector<double>;
  std::vector<std::vector<double>> once();

  std::size_t contenders_;
  std::uint64_t seed_;
  run run_;
  std::mt19937_64 random_;
  std::size_t done_ = 0;
  std::vector<std::vector<series>> values_;  // of each who, of each figure
};

}  // namespace hinge::bench
