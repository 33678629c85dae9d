// How much a test takes: little in each run, and as much as was promised in the soak.
#pragma once

#include <cstdlib>

namespace hinge::test {

/// The soak sets HINGE_TEST_FULL; see serve.py for the scripts.
inline bool full_size() { return std::getenv("HINGE_TEST_FULL") != nullptr; }

template <class T>
T sized(T small, T full) {
  return full_size() ? full : small;
}

}  // namespace hinge::test
