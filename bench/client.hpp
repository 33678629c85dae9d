// One thread's share of a load: a fixed set of connections on a readiness backend of hinge's.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "load.hpp"

namespace hinge::bench {

/// The addresses that the connections of a load come from. A target in 127.0.0.0/8 is reached from
/// many, so that ports don't run out, where the system has them without being told (Linux); any
/// other target from the one that the kernel picks.
class client_sources {
public:
  client_sources(const address& target, std::uint32_t connections);

  /// How many; the kernel's own pick counts as one.
  std::size_t count() const noexcept { return addresses_.empty() ? 1 : addresses_.size(); }
  /// Binds `fd` to the next address in turn, without taking a port yet; 0 or -errno.
  int bind_next(int fd) noexcept;

private:
  std::vector<inet_name> addresses_;  // empty: the kernel picks
  std::size_t next_ = 0;
};

/// `connections` of a load's connections; the caller's thread alone.
///
/// A connection is idle (before its start, or between prepare() and measure()), under way (an
/// operation runs, in the list of deadlines) or resting (after a failure, in the heap). All
/// operations have the same timeout, so the list is in order of starting: O(1) to enter, leave and
/// expire.
class client {
public:
  /// Keeps references to both. Throws std::system_error.
  client(const load_options& options, std::uint32_t connections, const std::atomic<bool>& stop);

  /// echo: connects a few at a time until each connection has had one answer, or until there has
  /// been no further one for as long as options.timeout. accept: nothing to do.
  void prepare();
  /// Warms up, then measures. Once, after prepare().
  void measure();
  load_result take_result() { return std::move(result_); }

private:
  static constexpr std::uint32_t nobody = 0xffffffff;

  enum class state : std::uint8_t { idle, under_way, resting };

  struct connection {
    unique_fd fd;
    std::uint32_t previous = nobody;
    std::uint32_t next = nobody;
    std::uint32_t failures = 0;    // in a row
    std::uint32_t generation = 0;  // of fd
    std::uint16_t pattern = 0;     // where in pattern_ the bytes of this operation begin
    state now = state::idle;
    bool watched = false;     // in `unregistered_`, or
    bool registered = false;  // the poller knows fd
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    instant started = 0;  // 0: not yet
  };

  bool over() const noexcept;
  void run_until(instant end);
  void turn();
  void start_some();
  void wake_rested();
  void expire();
  deadline wait_until() const noexcept;
  void collect_changes();
  void on_event(const event& seen);

  void begin(connection& one);
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
  const std::atomic<bool>& stop_;
  client_sources sources_;
  any_poller poller_;
  std::vector<change> changes_;
  std::vector<event> events_;
  std::vector<std::uint32_t> unregistered_;  // connections; some may be registered or closed by now
  std::vector<std::byte> pattern_;
  std::vector<std::byte> buffer_;
  std::vector<connection> connections_;
  std::vector<std::pair<instant, std::uint32_t>> resting_;  // a heap, the earliest on top
  std::uint32_t oldest_ = nobody;                           // the list of deadlines
  std::uint32_t newest_ = nobody;
  std::uint32_t under_way_ = 0;
  std::uint32_t prepared_ = 0;  // idle, with a connection that has had an answer
  std::uint32_t started_ = 0;   // connections [0, started_) have begun in this phase
  std::uint64_t answers_ = 0;   // ever
  std::uint64_t failures_ = 0;  // ever
  instant clock_ = 0;           // read after each wait
  instant phase_end_ = 0;
  bool preparing_ = false;
  bool measuring_ = false;
  load_result result_;
};

}  // namespace hinge::bench
