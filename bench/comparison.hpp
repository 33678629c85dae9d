// Servers compared with one another: by the CPU time that an operation costs, and by what is
// counted of it.
#pragma once

#include <hinge/time.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "contender.hpp"
#include "counting.hpp"
#include "interval.hpp"
#include "kernel_counters.hpp"
#include "verdict.hpp"

namespace hinge::bench {

struct compare_options {
  std::vector<std::string> names = {};  ///< the first is the reference
  std::vector<server_work> works = {server_work::ac, server_work::crr};
  /// Ends a comparison: half the interval of each ratio is at most this part of it ...
  double precision = 0.01;
  nanoseconds longest = std::chrono::seconds(20);  ///< ... or so long after it began,
  unsigned rounds = 0;                             ///< or, unless 0, after so many rounds alone
  unsigned block = 200;                            ///< connections
  unsigned waiting = 1;                            ///< see block
  bool gone = false;                               ///< see block
  bool apart = false;                              ///< two processes even where one can have all
  bool uncounted = false;                          ///< only what is timed
  double rate = 0;                                 ///< 0, or in place of blocks an open loop
  unsigned connections = 64;                       ///< of echo
  nanoseconds run_duration = std::chrono::milliseconds(300);  ///< of one load, echo or open loop
  std::uint64_t seed = 1;
};

/// A figure of one contender, and its ratio to the reference.
struct compared_figure {
  double median = 0;
  interval ratio;
};

/// One work.
struct comparison {
  server_work work = server_work::ac;
  std::string way;  ///< "one process", ...
  bool own_network = false;
  std::vector<std::string> figures;  ///< names; the first one is what precision is about
  std::size_t rounds = 0;
  /// Of each contender, and then of the reference once more; each has all figures.
  std::vector<std::vector<compared_figure>> found;
  std::vector<std::string> about;  ///< of each contender, as way::about
  std::vector<counts> counted;     ///< of each contender; or of none
  kernel_counts kernel;            ///< what it has counted meanwhile
  std::vector<finding> flaws;      ///< empty: the figures are valid
};

/// The works that all do; what some don't is left out. `about` is told what begins. Throws
/// std::runtime_error.
std::vector<comparison> compare(const compare_options& options,
                                const std::vector<contender>& contenders,
                                const std::atomic<bool>& stop,
                                const std::function<void(const std::string&)>& about);

}  // namespace hinge::bench
