// One thread's share of a load: connections, at most so many at once, on a readiness backend of
// hinge's.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "arrivals.hpp"
#include "client_sources.hpp"
#include "load.hpp"
#include "script.hpp"
#include "wake_timer.hpp"

namespace hinge::bench {

/// What one of `threads` does of a load.
struct client_share {
  std::uint32_t connections;
  std::uint32_t index = 0;
  std::uint32_t threads = 1;
};

/// One share of a load; the caller's thread alone.
///
/// A connection is idle (in the queue of idle ones while measuring), under way (an operation runs,
/// in the list of deadlines) or resting (in the heap: after a failure, or until a Unix listener has
/// room). An idle one begins when an operation is due: in a closed loop at once. All have
/// the same timeout, so the list is in order of starting: O(1) to enter, leave and expire.
class client {
public:
  /// Keeps references to both. Throws std::system_error.
  client(const load_options& options, client_share share, const std::atomic<bool>& stop);

  /// Of connections that are kept: connects a few at a time until each has had one answer, or
  /// until there has been no further one for as long as options.timeout. Others: nothing to do.
  void prepare();
  /// Warms up, then measures. Once, after prepare().
  void measure();
  load_result take_result() { return std::move(result_); }

private:
  static constexpr std::uint32_t nobody = 0xffffffff;
  static constexpr std::size_t pattern_period = 65'536;  // that of connection::pattern

  enum class state : std::uint8_t { idle, under_way, resting };

  struct connection {
    unique_fd fd;
    std::uint32_t previous = nobody;
    std::uint32_t next = nobody;
    std::uint32_t failures = 0;    // in a row
    std::uint32_t generation = 0;  // of fd
    std::uint32_t left = 0;        // exchanges, of a life that ends
    std::uint16_t pattern = 0;     // where in pattern_ the bytes of this operation begin
    state now = state::idle;
    bool watched = false;     // in `unregistered_`, or
    bool registered = false;  // the poller knows fd
    bool waits = false;       // in `full_`, or the poller tells when there is room
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    instant intended = 0;  // the start of this operation
    instant started = 0;   // 0: none has begun
    instant freed = 0;     // idle since then
  };

  bool open_loop() const noexcept { return schedule_.has_value(); }
  bool counts(const connection& one) const noexcept;
  bool over() const noexcept;
  /// Whether an operation begins as soon as its connection is idle.
  bool by_itself() const noexcept { return !open_loop() && !options_.hold; }
  void measure_rounds();
  void run_rounds_until(instant end);
  void run_round();
  std::uint32_t waiting_at_server() const noexcept;
  void run_until(instant end);
  void finish();
  void turn();
  void start_some();
  void prepare_some();
  void go_on(connection& one);
  void wake_rested();
  void expire();
  deadline wait_until() noexcept;
  bool begins_until(instant& until) noexcept;
  void collect_changes();
  void add_change(const connection& one, operation what);
  void on_event(const event& seen);

  void begin(connection& one, instant intended);
  void attempt(connection& one);
  bool connect(connection& one);
  int prepare_socket(int fd) noexcept;
  void push(connection& one);
  void pull(connection& one, int cause);
  bool echoed(const connection& one, std::size_t length) const noexcept;
  void watch(connection& one);
  void complete(connection& one);
  void fail(connection& one, error_kind kind);
  void fail_with(connection& one, int code);
  void rest(connection& one, nanoseconds pause);

  std::uint32_t index_of(const connection& one) const noexcept;
  void enter(connection& one) noexcept;
  void leave(connection& one) noexcept;

  const load_options& options_;
  const script script_;
  const std::atomic<bool>& stop_;
  const bool first_;  // of the threads
  client_sources sources_;
  any_poller poller_;
  std::optional<arrivals> schedule_;  // of an open loop
  std::optional<wake_timer> timer_;   // for it, where there is one
  std::deque<std::uint32_t> idle_;    // while measuring; the longest idle first
  std::vector<change> changes_;
  std::vector<event> events_;
  bool asks_to_send_ = false;                // poller_limits
  std::vector<std::uint32_t> full_;          // connections, likewise
  std::vector<std::uint32_t> unregistered_;  // connections; some may be registered or closed by now
  std::vector<std::byte> pattern_;
  std::vector<std::byte> buffer_;
  std::vector<connection> connections_;
  std::mt19937 random_;
  std::vector<std::pair<instant, std::uint32_t>> resting_;  // a heap, the earliest on top
  std::uint32_t oldest_ = nobody;                           // the list of deadlines
  std::uint32_t newest_ = nobody;
  std::uint32_t under_way_ = 0;
  std::uint32_t prepared_ = 0;  // idle, with a connection that has had an answer
  std::uint32_t started_ = 0;   // connections [0, started_) have begun to prepare
  std::uint64_t answers_ = 0;   // ever
  std::uint64_t failures_ = 0;  // ever
  instant clock_ = 0;           // read after each wait
  instant phase_end_ = 0;
  instant counted_from_ = 0;  // operations that were to begin before aren't counted
  instant measured_from_ = 0;
  instant last_completed_ = 0;  // of those that are counted
  bool preparing_ = false;
  bool measuring_ = false;
  load_result result_;
};

}  // namespace hinge::bench
