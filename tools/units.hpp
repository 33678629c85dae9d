// Durations and sizes as people write them on a command line: "500ms", "1.5s", "10k", "64KiB".
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace hinge::units {

/// what() quotes the text and says what is wrong with it.
class unit_error : public std::invalid_argument {
public:
  using std::invalid_argument::invalid_argument;
};

struct unit {
  std::string_view name;
  double factor;
};

inline constexpr unit duration_units[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                          {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
inline constexpr unit size_units[] = {
    {"", 1},     {"B", 1},           {"k", 1e3}, {"kB", 1e3}, {"KiB", 1024.0},      {"M", 1e6},
    {"MB", 1e6}, {"MiB", 1048576.0}, {"G", 1e9}, {"GB", 1e9}, {"GiB", 1073741824.0}};

/// A decimal number, then one of `units`, nothing between or around; `known` names them for the
/// error. Rounded to a whole number; zero may stand without a unit.
inline std::int64_t parse_scaled(std::string_view text, std::span<const unit> units,
                                 std::string_view known) {
  const auto refuse = [text](std::string_view why) -> unit_error {
    return unit_error("'" + std::string(text) + "': " + std::string(why));
  };
  if (text.empty()) throw refuse("is empty");
  if (text.front() == '-') throw refuse("must not be negative");
  if (text.front() < '0' || text.front() > '9') throw refuse("must begin with a number");
  // Older libc++ has no std::from_chars for these, and strtod(3) reads more than they are.
  double number = 0;
  double divisor = 1;
  bool in_fraction = false;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    if (text[end] == '.' && !std::exchange(in_fraction, true)) continue;
    if (text[end] < '0' || text[end] > '9') break;
    number = number * 10 + (text[end] - '0');
    if (in_fraction) divisor *= 10;
  }
  number /= divisor;
  const std::string_view suffix = text.substr(end);
  if (suffix.empty() && number == 0) return 0;
  for (const unit& candidate : units) {
    if (candidate.name != suffix) continue;
    const double scaled = std::round(number * candidate.factor);
    // Also when there were so many digits that it is none.
    if (!(scaled < static_cast<double>(std::numeric_limits<std::int64_t>::max())))
      throw refuse("is too large");
    if (candidate.factor == 1 && scaled != number) throw refuse("must be a whole number");
    return static_cast<std::int64_t>(scaled);
  }
  const std::string choices = " (use one of " + std::string(known) + ")";
  if (suffix.empty()) throw refuse("has no unit" + choices);
  throw refuse("unknown unit '" + std::string(suffix) + "'" + choices);
}

/// "500ms", "1.5s", "2m"; the unit must be there, but for 0. Throws unit_error.
inline std::chrono::nanoseconds parse_duration(std::string_view text) {
  return std::chrono::nanoseconds(parse_scaled(text, duration_units, "ns, us, ms, s, m, h"));
}

/// "64", "10k" (10,000), "64KiB" (65,536); bytes, or a count of something. Throws unit_error.
inline std::uint64_t parse_size(std::string_view text) {
  return static_cast<std::uint64_t>(parse_scaled(
      text, size_units, "k, M, G for powers of 1000; KiB, MiB, GiB for powers of 1024"));
}

/// As parse_size(), and within these. Throws unit_error.
template <class Number>
Number parse_within(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const std::uint64_t number = parse_size(text);
  if (number >= least && number <= most) return static_cast<Number>(number);
  throw unit_error("'" + std::string(text) + "': must be " + std::to_string(least) + " to " +
                   std::to_string(most));
}

}  // namespace hinge::units
