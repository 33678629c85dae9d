// Runs simulations and tells the seed of one that fails.
//   simulation (readiness|completion) [--seed N | --seeds FIRST COUNT]
#include "simulation/scenario.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

using hinge::sim::family_of_backends;

int main(int count, char** arguments) {
  const std::string_view family = count > 1 ? arguments[1] : "";
  const std::string_view option = count > 2 ? arguments[2] : "--seeds";
  std::uint64_t first = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1;
  std::uint64_t seeds = count > 4 ? std::strtoull(arguments[4], nullptr, 10) : 100;
  if (option == "--seed") seeds = 1;
  if ((family != "readiness" && family != "completion") ||
      (option != "--seed" && option != "--seeds")) {
    std::fprintf(stderr, "usage: %s readiness|completion [--seed N | --seeds FIRST COUNT]\n",
                 arguments[0]);
    return 2;
  }
  const auto which =
      family == "completion" ? family_of_backends::completion : family_of_backends::readiness;
  for (const std::uint64_t end = first + seeds; first != end; ++first) {
    const std::string wrong = hinge::sim::simulate(which, hinge::sim::random_source(first));
    if (wrong.empty()) continue;
    std::printf("seed %llu: %s\nagain: %s %s --seed %llu\n", static_cast<unsigned long long>(first),
                wrong.c_str(), arguments[0], arguments[1], static_cast<unsigned long long>(first));
    return 1;
  }
  std::printf("%llu simulations of %s\n", static_cast<unsigned long long>(seeds), arguments[1]);
  return 0;
}
