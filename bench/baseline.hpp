// A comparison held against an earlier one.
#pragma once

#include <string>
#include <vector>

#include "comparison_report.hpp"

namespace hinge::bench {

/// What has become worse than the earlier report says, in words; nothing: nothing. A ratio is worse
/// when its interval lies above the earlier one's, a count when it is more by a hundredth. Only
/// figures that are valid in both, of works and names that are in both, are looked at.
/// `text`: what to_json() wrote. Throws std::runtime_error when it is something else, or when there
/// is nothing to be compared.
std::vector<std::string> regressions(const std::string& text, const comparison_report& now);

}  // namespace hinge::bench
