// What results of all kinds have in their JSON.
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "environment.hpp"
#include "kernel_counters.hpp"
#include "verdict.hpp"

namespace hinge::bench {

nlohmann::ordered_json verdict_json(const std::vector<finding>& flaws);
nlohmann::ordered_json kernel_json(const kernel_counts& counts);
nlohmann::ordered_json environment_json(const environment& here);

}  // namespace hinge::bench
