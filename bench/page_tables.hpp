// The tables of the page: HTML, or nothing where no result has anything for it.
#pragma once

#include <string>

#include "page_plots.hpp"

namespace hinge::bench {

/// One for each sweep: a row a rate.
std::string sweep_tables(const stored_results& all);

/// What comparisons have counted: a row a subject.
std::string counted_tables(const stored_results& all);

// A row a name; a column a result, or one for all where all say the same.

std::string settings_table(const stored_results& all);
std::string kernel_table(const stored_results& all);
std::string environment_table(const stored_results& all);

}  // namespace hinge::bench
