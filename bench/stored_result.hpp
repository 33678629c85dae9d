// A result as it was stored, read back: hinge-bench's JSON of a load, a sweep or a comparison, or
// the statistics of hinge-serve. Whoever shows a stored result reads this, so that what is shown is
// what was written.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "percentile_curve.hpp"

namespace hinge::bench {

/// Names and values, in the order in which they stood.
using stored_texts = std::vector<std::pair<std::string, std::string>>;
using stored_counts = std::vector<std::pair<std::string, std::int64_t>>;

struct stored_times {
  std::vector<std::pair<std::string, double>> named;  ///< ns: "min", "mean", "p50", ... "max"
  std::vector<percentile_point> curve;                ///< empty: it wasn't stored

  bool known() const noexcept { return !named.empty(); }
  /// ns; nothing when there is no such name.
  std::optional<double> at(std::string_view name) const noexcept;
};

struct stored_figures {
  double per_second = 0;
  double per_second_low = 0;
  double per_second_high = 0;
  std::int64_t completed = 0;
  std::int64_t unfinished = 0;
  stored_counts errors;  ///< by kind, those that occurred
  stored_times latency;  ///< of an open loop
  stored_times service;
  std::optional<double> client_cpu_share;
  std::optional<double> server_cpu_share;
  std::optional<double> server_us_per_operation;
};

/// Latency at a rate that was offered: a point of a sweep.
struct sweep_point {
  double offered = 0;    ///< a second
  double completed = 0;  ///< a second
  bool valid = true;
  stored_times latency;
};

/// What a candidate needs of what its reference needs, with the ends of the 95 % interval.
struct stored_ratio {
  std::string candidate;
  std::string reference;
  std::string measure;  ///< "server CPU"
  double ratio = 1;
  double low = 1;
  double high = 1;
  bool control = false;  ///< a subject against itself
  bool valid = true;
};

/// What was counted of a subject, for each operation.
struct stored_count {
  std::string subject;
  stored_texts values;
};

struct loop_share {
  std::string name;
  std::int64_t accepted = 0;
};

struct stored_result {
  std::string name;    ///< for readers: of the file, or of what was done
  bool judged = true;  ///< it has a verdict
  bool valid = true;
  stored_texts flaws;  ///< kind and reason
  bool interrupted = false;
  std::string workload;  ///< empty: none alone
  std::string subject;   ///< whom: "127.0.0.1:7000", "127.0.0.1:7000, here on uring"
  stored_texts asked;
  std::optional<stored_figures> figures;  ///< void unless valid
  std::optional<std::int64_t> lost;       ///< of a restart
  std::vector<sweep_point> sweep;
  std::optional<double> knee;  ///< of the sweep: the highest rate that the server follows
  std::vector<stored_ratio> comparison;
  std::vector<stored_count> counted;  ///< of the comparison
  std::vector<loop_share> loops;
  stored_counts kernel;  ///< what was counted, but 0
  stored_texts environment;
};

/// what() says what is wrong with the text.
class stored_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Without a name the result is called by name_of(). Throws stored_error when the text is none of
/// these, or of another format.
stored_result read_stored(std::string name, const std::string& json);

/// What was done, and to whom: "crr 127.0.0.1:7000, here on uring".
std::string name_of(const stored_result& result);

}  // namespace hinge::bench
