// Latency against offered load: one open loop after the other, up to where the server no longer
// follows. It decides which comes next; who runs them is somebody else.
#pragma once

#include <hinge/time.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report.hpp"
#include "verdict.hpp"

namespace hinge::bench {

/// Operations a second, 0 < from < to.
struct sweep_range {
  double from = 0;
  double to = 0;
};

/// follows: what was asked is completed, in a time that is like that of little load. unknown: the
/// figures aren't valid, for a reason that isn't the server's.
enum class step_outcome : std::uint8_t { follows, behind, unknown };
std::string_view name_of(step_outcome) noexcept;

struct sweep_step {
  report shown;
  std::vector<finding> flaws;
  step_outcome outcome;
  std::string why;  ///< empty when it follows
};

/// Climbs in ten equal ratios, to the first step at which the server is behind, and then halves the
/// distance between that and the last that followed. A step that is unknown is run once more. The
/// knee is the highest rate at which it follows.
class sweep {
public:
  /// `most_p99`: more is behind; without it, ten times the p99 of the first step that followed is.
  sweep(sweep_range range, std::optional<nanoseconds> most_p99);

  /// The rate of the next step; nothing: the sweep is over.
  std::optional<double> next() const noexcept { return next_; }
  /// What came of a step at next().
  void add(report shown, std::vector<finding> flaws);

  const sweep_range& range() const noexcept { return range_; }
  const std::vector<sweep_step>& steps() const noexcept { return steps_; }
  /// The highest that followed; nullptr: none did. It is the knee when bounded().
  const sweep_step* highest() const noexcept;
  /// The lowest that was behind; nullptr: none was.
  const sweep_step* bound() const noexcept;
  /// Whether the knee is known, or the server has followed up to the end of the range.
  bool answered() const noexcept;
  /// Why it went no further, in words.
  const std::string& end() const noexcept { return end_; }

private:
  void judge(sweep_step& step) const;
  std::string shortfall_of(const report& shown) const;
  void choose_next();
  void climb();
  void halve();
  void stop(std::string why);

  const sweep_range range_;
  const std::optional<nanoseconds> most_p99_;
  std::vector<sweep_step> steps_;
  std::optional<double> next_;
  unsigned rung_ = 0;    // of the ladder, the one of next_ while climbing
  unsigned halved_ = 0;  // so many times
  std::string end_;
};

}  // namespace hinge::bench
