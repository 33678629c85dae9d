// What a sweep has shown, in the forms of a report.
#pragma once

#include <string>

#include "sweep.hpp"

namespace hinge::bench {

/// A line a step; the figures of one that isn't valid are left out.
std::string to_table(const sweep& all);
/// One JSON object, whose format is docs/hinge-bench-sweep.schema.json.
std::string to_json(const sweep& all);
/// As of a report, with a line of values a step.
std::string to_csv(const sweep& all);
std::string to_markdown(const sweep& all);

}  // namespace hinge::bench
