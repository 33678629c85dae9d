// An axis of a plot: where a value stands on it, and which values it is labelled with.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hinge::bench {

struct tick {
  double at;  ///< 0 to 1: the share of the axis that lies before it
  std::string label;
  bool minor = false;  ///< without a label where there is little room
};

/// From the least to the greatest of some values, rounded to what is labelled.
class axis {
public:
  using writer = std::function<std::string(double)>;

  /// Labelled at five steps or so.
  static axis linear(double low, double high, const writer& label);
  /// Labelled at 1, 2 and 5 of each power of ten, the latter two with less weight; both ends are to
  /// be above 0.
  static axis logarithmic(double low, double high, const writer& label);
  /// Of percentiles, by the logarithm of 1 / (1 - p): 90 %, 99 %, 99.9 % in equal distances, up to
  /// the largest of so many values.
  static axis percentiles(double count);

  /// 0 to 1; values beyond an end stand at that end.
  double at(double value) const noexcept;
  const std::vector<tick>& ticks() const noexcept { return ticks_; }

private:
  enum class kind { linear, logarithmic, percentiles };

  axis(kind which, double low, double high) noexcept : kind_(which), low_(low), high_(high) {}
  double stretched(double value) const noexcept;
  void add_tick(double value, std::string label, bool minor);

  kind kind_;
  double low_;   // after stretched()
  double high_;  // after stretched(), above low_
  std::vector<tick> ticks_;
};

}  // namespace hinge::bench
