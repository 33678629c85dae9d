// Results as one HTML page for a browser, a wall or an archive: it needs nothing but itself.
#pragma once

#include <string>

#include "page_plots.hpp"

namespace hinge::bench {

/// Light or dark as the reader's system is. Figures that aren't valid are called void.
std::string to_page(const stored_results& all);

}  // namespace hinge::bench
