// Whether a load has measured what it was to measure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hinge::bench {

class histogram;
struct kernel_counts;
struct load_options;
struct report;

/// The worst first.
enum class flaw : std::uint8_t {
  overflowed_queue,  ///< the kernel turned connections away: not all that was asked got through
  throttled,         ///< client or server were ready to run, and had no CPU
  saturated_client,  ///< the client was the bottleneck
  missing_clients,   ///< idle connections that were to stand there didn't
  unfinished,        ///< an open loop's slowest operations are missing from the times
  too_short,
  too_noisy,
};
/// "overflowed queue", for people and programs.
std::string_view name_of(flaw) noexcept;

struct finding {
  flaw what;
  std::string reason;  ///< with the figure that shows it, and the limit
};

/// Whether an open loop of such options is long enough, if it is followed.
bool asks_enough(const load_options& asked) noexcept;
/// The connections that the kernel turned away, or put off; empty: none.
std::string overflow_in(const kernel_counts& kernel);
/// What held all processes back for too much of the time, a quota or the host; empty: nothing.
std::string taken_by_others(const kernel_counts& kernel, double seconds);
/// Why the latencies of an open loop are its client's, which began so late; empty: they aren't.
std::string lateness(const histogram& lag, const histogram& latency);

/// What is wrong with the figures, the worst first; nothing: they are valid. Of the workload
/// restart, whose outcome is a count of the lost, nothing is asked.
std::vector<finding> flaws_of(const report& shown);

}  // namespace hinge::bench
