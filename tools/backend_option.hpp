// How the programs are told of a backend: --backend, and the variable that stands for it.
#pragma once

#include <hinge/backend.hpp>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "units.hpp"

namespace hinge {

inline constexpr const char* backend_variable = "HINGE_BACKEND";

/// "uring", "uring,epoll", "auto". Throws units::unit_error when that is none, or none of them is
/// in this build.
inline backend_list backends_of(std::string_view text) {
  const auto built = built_backends();
  const auto is_built = [&](backend one) {
    return std::find(built.begin(), built.end(), one) != built.end();
  };
  const auto names = [](const auto& all) {
    std::string said(backend_name(backend::automatic));
    for (const backend one : all) said.append(", ").append(backend_name(one));
    return said;
  };
  const result<backend_list> wanted = backend_list::parse(text);
  if (!wanted)
    throw units::unit_error("'" + std::string(wanted.error().argument()) +
                            "': no backend; there are " + names(backend_list()));
  if (std::none_of(wanted->begin(), wanted->end(), is_built))
    throw units::unit_error("'" + std::string(text) + "': not in this build, which has " +
                            names(built));
  return *wanted;
}

/// What HINGE_BACKEND says; nothing when it isn't set, or empty. Throws as backends_of().
inline std::optional<backend_list> backends_of_environment() {
  const char* const text = std::getenv(backend_variable);
  if (text == nullptr || *text == '\0') return {};
  try {
    return backends_of(text);
  } catch (const units::unit_error& wrong) {
    throw units::unit_error(std::string(backend_variable) + ": " + wrong.what());
  }
}

/// Why a loop did not open on a poller of that choice: each backend's refusal, or what else it was.
inline std::string why_not_open(const backend_choice& choice, const error& reason) {
  const bool refused = !choice.candidates().empty() && choice.chosen() == backend::automatic;
  return refused ? choice.text() : reason.text();
}

}  // namespace hinge
