// hinge's server of several loops, as one that is compared.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "served_arguments.hpp"

namespace hinge::bench {

/// Why "epoll:dispatch", a backend and an accept policy, can't be had here; empty: it can. Nothing:
/// it names no such thing.
std::optional<std::string> missing_policy(std::string_view name);

/// Serves by two loops, in threads of their own, until enough connections have ended. Throws
/// std::runtime_error.
void serve_by_policy(std::string_view name, const served_arguments& given);

}  // namespace hinge::bench
