// A histogram as the percentile text of HdrHistogram (".hgrm"), which its plotters read.
#pragma once

#include <string>

#include "histogram.hpp"

namespace hinge::bench {

/// Nanoseconds, told in milliseconds: a row for each of five steps on the way to half of what is
/// left above (0, 10, ... 50, 55, ... 75, 77.5 %), one of all, and mean, deviation and maximum.
std::string percentile_text(const histogram& times);

}  // namespace hinge::bench
