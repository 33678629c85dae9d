// A report for people.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"
#include "verdict.hpp"

namespace hinge::bench {

/// About ten lines, ending in a newline. Figures of a run that isn't valid are each called void.
std::string to_table(const report& shown, const std::vector<finding>& flaws);

}  // namespace hinge::bench
