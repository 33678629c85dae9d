// The plots of the page. Each is a figure of HTML, or nothing where no result has anything for it.
// Marks carry what they show as data attributes, in the units of the stored result.
#pragma once

#include <string>
#include <vector>

#include "stored_result.hpp"

namespace hinge::bench {

using stored_results = std::vector<stored_result>;

/// Latency, and the service time in it, over 1 / (1 - p).
std::string percentile_plot(const stored_results& all);
/// Percentiles over the rate that was offered.
std::string sweep_plot(const stored_results& all);
/// One for each measure: ratios with their intervals.
std::string ratio_plots(const stored_results& all);
/// One for each result with several loops: what each has accepted.
std::string fairness_plots(const stored_results& all);

}  // namespace hinge::bench
