// What a loop tells of itself at one moment, without privileges. docs/TELEMETRY.md says of each
// figure where it comes from. What the system doesn't tell, or the loop doesn't measure, is absent.
#pragma once

#include <hinge/address.hpp>
#include <hinge/export.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/loop_counters.hpp>
#include <hinge/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hinge {

/// With loop_options::work_clock, from the first turn up to the end of the last wait. What a
/// completion backend does for the loop in the call that waits counts as waiting.
struct work_figures {
  nanoseconds waiting{};
  nanoseconds working{};
  nanoseconds longest_work{};  ///< between two waits
};

/// With loop_options::work_clock. The lag of a turn that accepts is the time that the loop had
/// worked before it, from the wait before to that turn's own: so long, at most, the first of those
/// connections has waited for the loop. What a turn leaves in the queue has waited for the next
/// turn's lag besides.
struct accept_figures {
  std::uint64_t accepted = 0;
  std::uint64_t turns = 0;  ///< that accepted
  nanoseconds lag{};        ///< the sum over these turns
  nanoseconds longest_lag{};
};

struct listener_telemetry {
  address where;
  bool closed = false;     ///< died, or the loop stops
  bool accepting = false;  ///< false: pausing, for want of descriptors or of room, or closed
  /// In the queue now, and the most that was seen there: at snapshots and at the end of pauses over
  /// 1 ms; with a work_clock also after each turn that accepted accepts_per_turn.
  std::optional<std::uint32_t> waiting;
  std::optional<std::uint32_t> most_waiting;
  std::optional<std::uint32_t> asked_backlog;
  std::optional<std::uint32_t> effective_backlog;
  std::optional<std::uint32_t> drops;  ///< see listener::drops()
  std::uint64_t pauses = 0;
  nanoseconds paused{};  ///< in all, with the one that goes on
  std::optional<accept_figures> accepts;
};

/// A loop without its listeners.
struct loop_figures {
  loop_counters counters;
  bool stopping = false;
  std::uint32_t open = 0;  ///< connections
  std::uint32_t max_connections = 0;
  std::uint32_t half_closed = 0;                       ///< of the open ones, see loop_base
  std::optional<nanoseconds> oldest_half_closed = {};  ///< for how long one of them has been so
  std::uint64_t queued_bytes = 0;                      ///< that wait to be sent
  std::optional<work_figures> work = {};
  /// The poller's name. A loop doesn't know it: who wants it shown says it. Not owned.
  std::string_view backend = {};
};

/// A snapshot: a value, some 20 KB, that refers to nothing.
class telemetry : public loop_figures {
public:
  /// Looks at the loop, in its thread or after its end; also in a callback. Costs two or three
  /// system calls a listener and, when something is queued, a walk over the table.
  HINGE_API explicit telemetry(loop_base& of) noexcept;

  std::span<const listener_telemetry> listeners() const noexcept {
    return {listeners_.data(), listener_count_};
  }

private:
  std::size_t listener_count_ = 0;
  std::array<listener_telemetry, loop_base::max_listeners> listeners_;
};

}  // namespace hinge
