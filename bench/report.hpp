// What a load has shown, for people and for programs. It knows nothing of how the load was made.
//
// The JSON, one object, format "hinge-bench/1" (further members may be added under the same
// format):
//   format              "hinge-bench/1"
//   workload            "accept", "crr", "echo" or "restart"
//   target              the address, as given on the command line or as hinge writes it
//   backend             of the server in hinge-bench itself ("epoll", "uring"), or null
//   connections         at once; open loop: at most
//   threads             of the client
//   bytes               each way, per operation
//   loop                "closed" or "open"
//   rate, arrivals      open loop: operations a second asked for, and "constant" or "poisson"; else
//                       null
//   warmup_s            asked for, not counted
//   timeout_s           after which an operation counted as timed_out
//   duration_s          measured; shorter than asked when interrupted; open loop: until the last
//                       one was completed, so that per_second is what the server could do
//   completed           operations answered in full. What is counted has ended within duration_s
//                       (closed loop) or was to begin within it (open loop)
//   per_second          completed / duration_s
//   errors              {kind: count}, every kind always there: "refused", "reset", "timed_out",
//                       "unreachable", "early_end", "mismatch", "no_descriptor", "no_port", "other"
//   errors_before       the same, while connecting and warming up
//   other_errno         name of the first errno counted as "other", or null
//   unfinished          operations that had not ended; neither completed nor errors. In an open
//                       loop all get as long as timeout_s after the measured time
//   interrupted         true: stopped early, the figures are those of a shorter run
//   service_ns          {"min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"},
//                       nanoseconds, within 0.1 %; null when nothing was completed. From the
//                       connect (echo: the send) to the answer's last byte
//   latency_ns          the same from the intended start: what clients see who come when they
//                       please. null in a closed loop, which can't tell
//   client_lag_ns       how much later than intended this client began although a connection was
//                       free; null in a closed loop. What is large beside latency_ns is no server's
//   times_clamped       times above an hour, counted as an hour
//   restart             of that workload, else null: {"command", "lost", "runs": [{"at_s",
//                       "took_s", "exit_code"}]}. lost: errors and unfinished; exit_code: 128 + N,
//                       killed by signal N; null, it had not ended
//   client_cpu_share    CPU time of the client's threads / (duration_s * threads); near 1 the
//                       client is the bottleneck, and per_second says little about the server
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "load.hpp"
#include "mid_load.hpp"

namespace hinge::bench {

/// A load and what came of it.
struct report {
  load_options asked;
  load_result found;
  std::string backend = {};  ///< of the server in this process; empty: it was another's
  std::string command = {};  ///< of the workload restart
  std::vector<command_run> runs = {};

  double seconds() const noexcept;
  std::uint64_t lost() const noexcept;       ///< operations that did not end well
  bool all_ran_well() const noexcept;        ///< the commands: there was one, and none failed
  double per_second() const noexcept;        ///< 0 when nothing was measured
  double client_cpu_share() const noexcept;  ///< 0 when nothing was measured
};

nlohmann::ordered_json to_json(const report& shown);

/// A table of about ten lines, ending in a newline.
std::string to_table(const report& shown);

/// Nanoseconds with three significant digits and a unit that suits them: "812 ns", "41.3 us",
/// "2.00 s".
std::string short_time(double nanoseconds);

}  // namespace hinge::bench
