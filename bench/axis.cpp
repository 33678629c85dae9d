#include "axis.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

constexpr double steps = 5;
constexpr std::array multiples = {1.0, 2.0, 5.0, 10.0};
constexpr double hair = 1e-9;  // what rounding may have added

/// The step of 1, 2 or 5 times a power of ten that parts `span` into about five.
double step_of(double span) noexcept {
  const double power = std::pow(10, std::floor(std::log10(span / steps)));
  return power * *std::find_if(multiples.begin(), multiples.end() - 1,
                               [&](double one) { return span / (power * one) <= steps + 1; });
}

/// The value of 1, 2 or 5 times a power of ten that is next to `value`: at most that, or at least.
double round_to(double value, bool up) noexcept {
  const double power = std::pow(10, std::floor(std::log10(value) + hair));
  double below = power;
  for (const double one : multiples) {
    if (up && power * one >= value * (1 - hair)) return power * one;
    if (power * one <= value * (1 + hair)) below = power * one;
  }
  return below;
}

}  // namespace

axis axis::linear(double low, double high, const writer& label) {
  if (!(high > low)) high = low + 1;
  const double step = step_of(high - low);
  const double first = std::floor(low / step + hair);
  const double last = std::ceil(high / step - hair);
  axis made(kind::linear, first * step, last * step);
  for (double one = first; one <= last; ++one) made.add_tick(one * step, label(one * step), false);
  return made;
}

axis axis::logarithmic(double low, double high, const writer& label) {
  low = round_to(low, false);
  high = round_to(std::max(high, low), true);
  if (!(high > low)) high = low * 10;
  axis made(kind::logarithmic, std::log10(low), std::log10(high));
  const bool few = high / low < 1000;
  for (double power = std::pow(10, std::floor(std::log10(low) + hair)); power <= high * (1 + hair);
       power *= 10) {
    for (const double one : {1.0, 2.0, 5.0}) {
      const double value = power * one;
      if (value < low * (1 - hair) || value > high * (1 + hair)) continue;
      if (one == 1 || few) made.add_tick(value, label(value), one != 1);
    }
  }
  return made;
}

axis axis::percentiles(double count) {
  axis made(kind::percentiles, 0, std::max(1.0, std::log10(count)));
  made.add_tick(0, "0", false);
  made.add_tick(50, "50", true);
  for (int nines = 1; nines <= made.high_ + hair; ++nines) {
    const double percent = 100 * (1 - std::pow(10, -nines));
    made.add_tick(percent, fmt::format("{:.{}f}", percent, std::max(0, nines - 2)), false);
  }
  return made;
}

double axis::stretched(double value) const noexcept {
  if (kind_ == kind::logarithmic) return std::log10(value);
  if (kind_ == kind::percentiles) return -std::log10(std::max(1 - value / 100, 1e-15));
  return value;
}

double axis::at(double value) const noexcept {
  return std::clamp((stretched(value) - low_) / (high_ - low_), 0.0, 1.0);
}

void axis::add_tick(double value, std::string label, bool minor) {
  ticks_.push_back({at(value), std::move(label), minor});
}

}  // namespace hinge::bench
