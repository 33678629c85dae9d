// The backends that this machine lets us use.
#pragma once

#include <hinge/any_poller.hpp>

#include <vector>

namespace hinge::test {

inline std::vector<backend> usable() {
  std::vector<backend> all;
  const backend_choice report = backend_report();
  for (const backend_verdict& one : report.candidates())
    if (one.usable) all.push_back(one.which);
  return all;
}

}  // namespace hinge::test
