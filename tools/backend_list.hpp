// What `--backend list` shows: each backend with its verdict here, and which one would be taken.
#pragma once

#include <string>

namespace hinge {

struct backend_listing {
  std::string text;  ///< a line each
  std::string json;  ///< one object: chosen, reason, candidates
};

/// All backends, those that HINGE_BACKEND prefers first; only what it names is chosen. That it is
/// wrong is said on stderr, in the program's name.
backend_listing list_backends(const char* program);

}  // namespace hinge
