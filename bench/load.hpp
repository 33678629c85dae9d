// The load generator: clients over system calls of their own. It knows nothing of reports.
//
//   accept  connect, wait for the server's first byte or its close, close with a reset (no
//           TIME_WAIT)
//   crr     connect, send B bytes, receive them back, close with a reset
//   echo    kept connections: send B bytes, receive them back
//   churn   as crr, on connections that live for more than one exchange, each as long as it is
//           drawn
//   idle    as crr, beside connections that have had one exchange and no more
//   slow    as crr, beside connections of bad manners
//   burst   as crr, all at once: the server is held until they wait in its queue
//   restart as crr; who runs the load lets something happen to the server meanwhile
//
// A connection counts only when the server has answered in full: connect(2) succeeds before, and
// even without, an accept.
//
// Closed loop: each connection starts its next operation when the one before has ended, so a slow
// server is asked less. That measures capacity; its times are the service's, not those of clients
// who come when they please.
//
// Open loop: operations begin on a schedule, whatever became of those before, and their latency
// counts from the intended start. With all connections busy an operation begins late; the wait is
// in its latency and not in its service time. After the measured time the rest is waited for, so
// that what was slow is not left out.
#pragma once

#include <hinge/address.hpp>
#include <hinge/time.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arrivals.hpp"
#include "cpu_usage.hpp"
#include "histogram.hpp"
#include "script.hpp"

namespace hinge::bench {

enum class workload : std::uint8_t { accept, crr, echo, restart, churn, idle, slow, burst };
std::string_view name_of(workload) noexcept;

/// Why an operation failed.
enum class error_kind : std::uint8_t {
  refused,        ///< nobody listens: ECONNREFUSED, or ENOENT of a Unix path
  reset,          ///< ECONNRESET, EPIPE, ECONNABORTED
  timed_out,      ///< no full answer within load_options::timeout, or ETIMEDOUT
  unreachable,    ///< EHOSTUNREACH, ENETUNREACH, ENETDOWN
  early_end,      ///< the server ended the connection before its answer was complete
  mismatch,       ///< what came back is not what was sent
  no_descriptor,  ///< EMFILE, ENFILE, here at the client
  no_port,        ///< EADDRNOTAVAIL, EADDRINUSE: the client's ports ran out
  other,          ///< see load_result::other_errno
};
inline constexpr std::size_t error_kinds = 9;
std::string_view name_of(error_kind) noexcept;
/// What an errno of a connection means; 0 or one that is not foreseen: other.
error_kind kind_of(int code) noexcept;
using error_counts = std::array<std::uint64_t, error_kinds>;
std::uint64_t total(const error_counts&) noexcept;

/// Of connections that stand beside a load.
enum class manner : std::uint8_t {
  idle,       ///< one exchange at the beginning
  silent,     ///< connects and sends nothing
  dribbling,  ///< sends a byte ten times a second, and reads what comes
  deaf,       ///< sends requests, 256 KiB at most, and reads nothing
};
std::string_view name_of(manner) noexcept;

struct bystander_options {
  std::uint32_t connections = 0;
  std::vector<manner> manners = {manner::idle};  ///< in turn
};

struct bystander_result {
  std::uint32_t present = 0;     ///< as the load began
  std::uint64_t ended = 0;       ///< from then on, by the server
  std::uint64_t made_again = 0;  ///< in place of those; not the idle ones
};

inline constexpr std::uint64_t most_rate = 10'000'000;  ///< operations a second

/// Of all threads, from the first connection on; may be read while a load runs.
struct load_progress {
  std::atomic<std::uint64_t> completed = 0;
  std::atomic<std::uint64_t> failed = 0;
};

struct load_options {
  workload work = workload::accept;
  address target;
  std::uint32_t connections = 64;  ///< at once, over all threads
  std::uint32_t threads = 1;       ///< of the client; at most `connections`
  std::uint64_t bytes = 64;        ///< each way, per operation; accept: 0, the others: at least 1
  lifetime life = {1, 100};        ///< in exchanges; churn
  double rate = 0;                 ///< open loop: operations a second, of all threads; 0: closed
  arrival_kind arrivals = arrival_kind::constant;             ///< of an open loop
  std::chrono::nanoseconds warmup = std::chrono::seconds(1);  ///< not counted
  std::chrono::nanoseconds duration = std::chrono::seconds(10);
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);  ///< for one operation
  bystander_options beside = {};                               ///< beside `connections`
  /// burst: holds the server (true), or lets it go on. Of one thread.
  std::function<void(bool)> hold = {};
  /// Called before anything is connected, and as all that is to stand there does.
  std::function<void()> on_prepare = {};
  std::function<void()> on_prepared = {};
  /// Called as the measured time begins and as it ends, by the thread that runs the load; or not,
  /// when it never begins.
  std::function<void()> on_begin = {};
  std::function<void()> on_end = {};
  load_progress* progress = nullptr;  ///< kept up, when there is one
};

/// An operation belongs to the measured time when it ends in it (closed loop), or when it was to
/// begin in it (open loop).
struct load_result {
  histogram service;            ///< ns; from connect (echo: from send) to the answer's last byte
  histogram latency;            ///< ns; open loop: the same from the intended start
  histogram lag;                ///< ns; open loop: what this client itself began too late
  std::uint64_t completed = 0;  ///< operations that ended well
  std::uint64_t connections_made = 0;  ///< begun, for those and for others
  error_counts errors{};               ///< operations that failed
  error_counts errors_before{};        ///< the same, while connecting and warming up
  int other_errno = 0;                 ///< the first errno that was counted as `other`
  /// Operations that had not ended when the time was over (open loop: and `timeout` after it), or
  /// not even begun: neither of both.
  std::uint64_t unfinished = 0;
  /// Measured time; less than asked when stopped early, and 0 when that was before it began. Open
  /// loop: more, when the last to complete ended later.
  std::chrono::nanoseconds elapsed{0};
  /// Completed in each of so many equal parts of the time that was asked for.
  std::vector<std::uint64_t> parts = std::vector<std::uint64_t>(20);
  bystander_result beside = {};
  /// burst: of each round, how long the server took for all; `elapsed` is their sum. And how many
  /// waited in its queue as it went on, in the round where they were fewest.
  std::vector<std::chrono::nanoseconds> drains;
  std::optional<std::uint32_t> least_waiting;
  cpu_usage client;  ///< of all client threads within `elapsed`
  /// Connections tried and failed, and none has ever been answered: given up early.
  bool nothing_answers = false;
  bool interrupted = false;  ///< stopped by the caller
};

/// What stands in the way of such a load, in words, or nothing: options out of range, descriptors
/// or local ports that would run out. Raises the soft limit of descriptors when the hard one
/// permits. `served_here`: the server's descriptors are this process's too.
std::optional<std::string> obstacle(const load_options& options, bool served_here = false);

/// Runs the load and returns when it is over, or soon after `stop` was set. A failed operation is
/// counted; in a closed loop its connection rests for 10 ms, doubling up to 1 s with each failure
/// in a row.
/// Throws std::runtime_error when the client itself lacks a resource (a poller, a thread).
load_result run_load(const load_options& options, const std::atomic<bool>& stop);

}  // namespace hinge::bench
