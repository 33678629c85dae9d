// What the histogram says of values that are given on standard input, as numbers with blanks
// between: lowest, highest, digits; how many values, and these; how many percentiles, and these.
// Then a line each, as the program beside this one in Java: count, min, max, mean, deviation; a
// percentile's value, and how many are at most that.
#include <fmt/format.h>

#include <cstdint>
#include <iostream>

#include "histogram.hpp"

int main() {
  hinge::bench::histogram_range range;
  std::size_t many = 0;
  std::cin >> range.lowest >> range.highest >> range.digits >> many;
  hinge::bench::histogram tested(range);
  for (std::int64_t value = 0; many > 0 && std::cin >> value; --many) tested.record(value);
  fmt::print("{} {} {} {:.17g} {:.17g}\n", tested.count(), tested.min(), tested.max(),
             tested.mean(), tested.deviation());
  std::cin >> many;
  for (double percent = 0; many > 0 && std::cin >> percent; --many) {
    const std::int64_t value = tested.percentile(percent);
    fmt::print("{} {}\n", value, tested.count_up_to(value));
  }
  return std::cin ? 0 : 1;
}
