#include "script.hpp"

#include <algorithm>
#include <cmath>

#include "load.hpp"

namespace hinge::bench {

std::uint32_t script::draw(std::mt19937& random) const {
  if (life.least == life.most || kept()) return life.most;
  std::uniform_real_distribution<double> magnitude(std::log(life.least), std::log(life.most + 1.0));
  // The end of the range may come out by rounding.
  return std::clamp(static_cast<std::uint32_t>(std::exp(magnitude(random))), life.least, life.most);
}

script script_of(const load_options& options) noexcept {
  switch (options.work) {
    case workload::echo:
      return {options.bytes, {0, 0}};
    case workload::churn:
      return {options.bytes, options.life};
    default:
      return {options.bytes, {}};
  }
}

}  // namespace hinge::bench
