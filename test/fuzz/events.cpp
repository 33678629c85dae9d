// Any sequence of what the kernel may do to a loop: the simulator's decisions are taken from the
// bytes, the first of which chooses the family of backends.
#include "fuzz/fuzz.hpp"
#include "simulation/scenario.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  using hinge::sim::family_of_backends;
  const auto family =
      data[0] % 2 == 0 ? family_of_backends::readiness : family_of_backends::completion;
  const hinge::sim::random_source chosen(std::span(data + 1, size - 1));
  const std::string wrong = hinge::sim::simulate(family, chosen);
  hinge::fuzz::must(wrong.empty(), wrong);
  return 0;
}
