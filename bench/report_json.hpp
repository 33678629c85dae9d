// A report for programs: one JSON object, whose format is docs/hinge-bench.schema.json.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"
#include "verdict.hpp"

namespace hinge::bench {

/// Ends in a newline. Figures of a run that isn't valid stand under another name than those of one
/// that is: nobody takes them for such by accident.
std::string to_json(const report& shown, const std::vector<finding>& flaws);

}  // namespace hinge::bench
