// A way of comparing servers: what is run of each, and what its figures are called.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rounds.hpp"

namespace hinge::bench {

struct way {
  std::string name;                  ///< "one process"
  std::vector<std::string> figures;  ///< names; the first one is what precision is about
  unsigned warm_up = 0;              ///< rounds
  rounds::run run;
  /// What that contender serves by, once it has run; empty: its name says all.
  std::function<std::string(std::size_t who)> about;
  /// Why the client has spoilt the figures; empty: it hasn't.
  std::function<std::string()> saturation = [] { return std::string(); };
};

}  // namespace hinge::bench
