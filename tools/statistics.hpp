// What a loop has counted, as one JSON object.
#pragma once

#include <hinge/loop_base.hpp>

#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace hinge::serve {

/// Every counter of loop_options.hpp under its name, the listeners, and what is open and queued
/// now. accepted == open + the sum of closed + shed. The loop's thread, or after it.
nlohmann::ordered_json statistics_of(const loop_base& loop, std::string_view backend);

}  // namespace hinge::serve
