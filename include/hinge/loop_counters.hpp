// What a loop counts, and one table of it for all who show it.
#pragma once

#include <hinge/close_cause.hpp>

#include <array>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <string_view>

namespace hinge {

/// Since open(); written by the loop's thread alone. At every moment outside of a turn:
/// accepted == open connections + the sum of closed + shed + handed_over. Those turned away count
/// as closed.
struct loop_counters {
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, close_causes> closed{};  ///< by close_cause
  std::uint64_t shed = 0;            ///< accepted, but closed before a handler saw them
  std::uint64_t shed_exhausted = 0;  ///< of these, for want of descriptors; the others by a stop
  std::uint64_t handed_over = 0;     ///< let in, and given to another loop (handover)
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t turns = 0;
  std::uint64_t events = 0;
  std::uint64_t stale_events = 0;      ///< events of connections that had gone; dropped
  std::uint64_t stale_operations = 0;  ///< operations on connections that had gone; returned false
  std::uint64_t refused_sends = 0;     ///< over queue_limit_bytes or queue_total_bytes
  std::uint64_t refused_total = 0;     ///< of these, over queue_total_bytes or the memory
  std::uint64_t accept_retries = 0;    ///< a waiting connection had failed; the next one was taken
  std::uint64_t accept_misses = 0;     ///< woken for one that somebody else had taken
  std::uint64_t accept_exhausted = 0;  ///< times that descriptors or memory ran out
  std::uint64_t accept_unknown = 0;    ///< of these, by an errno that the table does not know
  std::uint64_t accept_episodes = 0;   ///< episodes of running out (door_episode)
  std::uint64_t listeners_died = 0;
  std::uint64_t full_pauses = 0;  ///< times that the full table paused the listeners
  std::uint64_t read_pauses = 0;  ///< times that a full queue paused a connection's reading

  std::uint64_t closed_total() const noexcept {
    return std::accumulate(closed.begin(), closed.end(), std::uint64_t{0});
  }
};

struct loop_counter {
  std::string_view name;    ///< the member's
  std::string_view metric;  ///< for Prometheus, without hinge_
  std::uint64_t loop_counters::*count;
  std::string_view help;
};

/// Each of loop_counters, but for `closed`.
inline constexpr loop_counter loop_counter_table[] = {
    {"accepted", "accepted_total", &loop_counters::accepted,
     "Connections accepted: those open, closed, shed and handed over."},
    {"shed", "shed_total", &loop_counters::shed, "Connections closed before they were served."},
    {"shed_exhausted", "shed_exhausted_total", &loop_counters::shed_exhausted,
     "Of the shed ones, those for which there was no descriptor."},
    {"handed_over", "handed_over_total", &loop_counters::handed_over,
     "Connections accepted for another loop, and given to it."},
    {"bytes_in", "received_bytes_total", &loop_counters::bytes_in,
     "Bytes read from all connections."},
    {"bytes_out", "sent_bytes_total", &loop_counters::bytes_out,
     "Bytes written to all connections."},
    {"turns", "turns_total", &loop_counters::turns, "Waits of the loop."},
    {"events", "events_total", &loop_counters::events, "Events that they reported."},
    {"stale_events", "stale_events_total", &loop_counters::stale_events,
     "Events of connections that had gone."},
    {"stale_operations", "stale_operations_total", &loop_counters::stale_operations,
     "Operations on connections that had gone."},
    {"refused_sends", "refused_sends_total", &loop_counters::refused_sends,
     "Sends that would have passed a limit of queued bytes."},
    {"refused_total", "refused_sends_memory_total", &loop_counters::refused_total,
     "Of these, those over the limit of all connections together, or the memory."},
    {"accept_retries", "accept_retries_total", &loop_counters::accept_retries,
     "Connections that had failed before they were accepted."},
    {"accept_misses", "accept_misses_total", &loop_counters::accept_misses,
     "Accepts that came too late: somebody else had taken the connection."},
    {"accept_exhausted", "accept_exhausted_total", &loop_counters::accept_exhausted,
     "Accepts that failed for want of descriptors or memory."},
    {"accept_unknown", "accept_unknown_total", &loop_counters::accept_unknown,
     "Of these, those that failed by an errno that is not known."},
    {"accept_episodes", "accept_episodes_total", &loop_counters::accept_episodes,
     "Episodes in which descriptors or memory had run out."},
    {"listeners_died", "listeners_died_total", &loop_counters::listeners_died,
     "Listeners that can accept no more."},
    {"full_pauses", "full_pauses_total", &loop_counters::full_pauses,
     "Times that the full table stopped the accepting."},
    {"read_pauses", "read_pauses_total", &loop_counters::read_pauses,
     "Times that a full queue stopped the reading of a connection."},
};

// Who counts something more enters it above, and it is shown and summed up everywhere.
static_assert(sizeof(loop_counters) ==
              sizeof(std::uint64_t) * (std::size(loop_counter_table) + close_causes));

}  // namespace hinge
