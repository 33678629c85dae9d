// What a server is opened with, and what it counts.
#pragma once

#include <hinge/accept_policy.hpp>
#include <hinge/export.hpp>
#include <hinge/loop_counters.hpp>
#include <hinge/loop_options.hpp>
#include <hinge/telemetry.hpp>
#include <hinge/time.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace hinge {

struct server_options {
  /// Loops, each in a thread of its own; 0: one for each CPU that the process may use. With
  /// thread_per_connection the most threads, 0: loop.max_connections, or 256. At most 1024.
  std::uint32_t loops = 0;
  accept_policy policy = accept_policy::automatic;
  /// Loop i runs on the i-th CPU of those that the process may use, and round again.
  bool pin = false;
  /// sharded_cpu: by SO_INCOMING_CPU in place of a program (SO_ATTACH_REUSEPORT_CBPF). Then a loop
  /// more than CPUs gets nothing; Linux since 6.2.
  bool by_incoming_cpu = false;
  /// Of each loop; `accepting` is the policy's to choose. max_connections 0: the soft descriptor
  /// limit less `head_room`, in equal parts. queue_total_bytes: of all loops, in equal parts, but
  /// queue_limit_bytes for each at least. Limits of what a source may take are each loop's own.
  loop_options loop = {};
};

/// `backend` is what its poller has become: where rings are short, the first loops may have one,
/// and the others not. A literal.
struct loop_statistics : loop_figures {
  int cpu = -1;  ///< that it is pinned to
  /// It hasn't answered in time, and the rest is what it told before.
  bool late = false;
};

/// Of all loops, and one by one.
struct server_statistics {
  std::vector<loop_statistics> loops;
  /// dispatch, thread_per_connection: the accepting thread's, with what it has shed or turned away;
  /// what it gave to the loops counts as accepted by them. Nobody stays open in it.
  std::optional<loop_statistics> acceptor;
  std::uint32_t late = 0;  ///< how many haven't answered in time, the accepting one included
  /// Jain's index of the connections that each loop has accepted: 1 when all had the same number,
  /// 1/N when one had them all. 1 before the first.
  double fairness = 1;
  /// By index, what the loops that aren't late have told. What a loop counts is summed (pauses,
  /// accepts), and so is what waits and was dropped where each has a socket of its own; of one that
  /// they share it is there once. most_waiting, and the backlogs, are of one socket. `accepting`:
  /// one of them does; `closed`: each has closed it.
  std::vector<listener_telemetry> listeners;

  /// The sum of all; accepted == open connections + the sum of closed + shed.
  HINGE_API loop_counters total() const noexcept;
  HINGE_API std::uint32_t open_connections() const noexcept;
  HINGE_API std::uint32_t half_closed() const noexcept;
  HINGE_API std::optional<nanoseconds> oldest_half_closed() const noexcept;
  HINGE_API std::uint64_t queued_bytes() const noexcept;
};

/// (sum x)^2 / (n * sum x^2): Jain, Chiu and Hawe, DEC-TR-301 (1984). 1 for nothing.
HINGE_API double fairness_of(std::span<const std::uint64_t> shares) noexcept;

}  // namespace hinge
