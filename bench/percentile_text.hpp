// A histogram as the percentile text of HdrHistogram (".hgrm"), which its plotters read.
#pragma once

#include <string>

#include "histogram.hpp"

namespace hinge::bench {

/// Nanoseconds, told in milliseconds: the points of percentile_curve(), mean, deviation, maximum.
std::string percentile_text(const histogram& times);

}  // namespace hinge::bench
