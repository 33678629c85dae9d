// What a load has shown, and what stood around it. It knows nothing of how the load was made.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cpu_usage.hpp"
#include "environment.hpp"
#include "interval.hpp"
#include "kernel_counters.hpp"
#include "load.hpp"
#include "mid_load.hpp"

namespace hinge::bench {

/// Of a server, in bytes of its own.
struct memory_growth {
  std::uint64_t before = 0;    ///< anything was connected
  std::uint64_t prepared = 0;  ///< with all that stands there
  std::uint64_t end = 0;
};

/// What the kernel counted, and the server used, within the measured time.
struct observation {
  kernel_counts kernel;
  std::optional<memory_growth> memory;  ///< of the server, likewise
  std::optional<cpu_usage> server;      ///< nothing: it isn't known, or not whose process it is
};

/// A load and what came of it.
struct report {
  load_options asked;
  load_result found;
  observation seen = {};
  environment here = {};
  std::string backend = {};  ///< of the server in this process; empty: it was another's
  std::string command = {};  ///< of the workload restart
  std::vector<command_run> runs = {};

  // Each is 0 when nothing was measured.
  double seconds() const noexcept;
  double per_second() const noexcept;
  interval rate_interval() const;  ///< of the median part of the time
  // Of the time; the client's of that of its threads.
  double client_cpu_share() const noexcept;
  double client_waiting() const noexcept;  ///< ready to run, without a CPU
  std::optional<double> server_cpu_share() const noexcept;
  std::optional<double> server_waiting() const noexcept;
  std::optional<double> server_us_per_operation() const noexcept;  ///< CPU time

  // Of each connection that stands beside the load, when there are any.
  std::optional<double> server_bytes_each() const noexcept;
  /// CPU time, what the load costs among it; idle.
  std::optional<double> server_us_each_second() const noexcept;
  /// burst: from where the server goes on to the last answer; the median of the parts.
  interval drain_ns() const;

  std::uint64_t lost() const noexcept;  ///< operations that did not end well
  bool all_ran_well() const noexcept;   ///< the commands: there was one, and none failed
};

inline constexpr std::pair<const char*, double> shown_percentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};

inline double in_seconds(nanoseconds span) noexcept {
  return std::chrono::duration<double>(span).count();
}

/// Nanoseconds with three significant digits and a unit that suits them: "812 ns", "41.3 us",
/// "2.00 s".
std::string short_time(double nanoseconds);

}  // namespace hinge::bench
