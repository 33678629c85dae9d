// What somebody wants of the figures, as a test of a server that measures itself in its pipeline.
#pragma once

#include <hinge/time.hpp>

#include <optional>
#include <string>

#include "report.hpp"

namespace hinge::bench {

struct thresholds {
  std::optional<nanoseconds> most_p99 = {};  ///< open loop: of the latency; closed: of the service
  double least_rate = 0;                     ///< completed a second
};

/// The first that is missed, in words; empty: none. A restart is to lose nobody, too.
std::string shortfall(const thresholds& wanted, const report& shown);

}  // namespace hinge::bench
