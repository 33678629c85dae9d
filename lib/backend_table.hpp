// The one table of backends.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/backend.hpp>

#include <string_view>

namespace hinge {

struct backend_row {
  backend which;
  std::string_view name;         ///< here
  std::string_view system_name;  ///< what the system calls it
  /// Both null: not in this build.
  any_poller (*make)() noexcept = nullptr;
  /// Says in `usable` and `circumstances` whether it can be used.
  void (*ask)(backend_verdict& into) noexcept = nullptr;
};

/// Null for `automatic`, and for a number that is no backend.
const backend_row* row_of(backend which) noexcept;

/// What becomes of it here, found out by use. Not `automatic`.
backend_verdict verdict_on(backend which) noexcept;

}  // namespace hinge
