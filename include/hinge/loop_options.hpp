// What a loop is opened with.
#pragma once

#include <hinge/accept_sharing.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/poller.hpp>
#include <hinge/source_limits.hpp>
#include <hinge/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hinge {

/// What becomes of connections for which there is no descriptor.
enum class exhaustion : std::uint8_t {
  queue,       ///< the kernel holds them until there is one
  shed_reset,  ///< they are accepted by means of a descriptor in reserve, and reset
  handler,     ///< its on_exhausted says which of both, of each listener; without it: queue
};

/// Every limit of a loop. A timeout of 0 is off. Refused with EINVAL and the field's name: a zero
/// where a number is needed, marks out of order, timeouts that are negative or over a year.
struct loop_options {
  /// Most connections at one time; 0: the soft descriptor limit (RLIMIT_NOFILE) less `head_room`.
  std::uint32_t max_connections = 0;
  /// Descriptors left for everything that is not a connection. On io_uring a burst may take them
  /// for who waits: a multishot accept isn't asked (but accept_sharing::first_come is).
  std::uint32_t head_room = 64;
  /// Most connections accepted in one turn, so that a flood can't starve those already served.
  std::uint32_t accepts_per_turn = 64;
  /// Who else accepts on the loop's listeners.
  accept_sharing accepting = accept_sharing::alone;
  /// Room for events in one turn; at least accepts_per_turn + 2, and 8.
  std::uint32_t events_per_turn = 256;
  /// The one buffer that a loop receives into, shared by all its connections; a completion loop
  /// gathers in it what arrived during a pause.
  std::uint32_t receive_buffer_bytes = 64 * 1024;
  /// Readiness: full receive buffers that one connection may fill before the others have their
  /// turn. On io_uring the kernel hands on after 32 ring buffers (Linux, MULTISHOT_MAX_RETRY).
  std::uint32_t receives_per_event = 4;

  /// Queued bytes of a connection above which its reading pauses, and below which it goes on.
  std::uint32_t queue_high_bytes = 256 * 1024;
  std::uint32_t queue_low_bytes = 64 * 1024;
  /// Most queued bytes of a connection: a send that would go over it is refused whole. The socket
  /// takes what it can first; on a completion backend what is small, or was just received, may be
  /// queued until the next turn. At least queue_high_bytes + receive_buffer_bytes, so that an echo
  /// never meets it. Whose answers are longer than the questions adds the longest answer to a full
  /// receive buffer to the high mark.
  std::uint32_t queue_limit_bytes = 1024 * 1024;
  /// Most queued bytes of all connections together, and most memory for copies of them, in steps of
  /// 256 KiB. A connection's last ones take 4 KiB, however few they are.
  std::size_t queue_total_bytes = std::size_t{256} * 1024 * 1024;

  nanoseconds first_byte_timeout = std::chrono::seconds(10);   ///< from accept to the first byte
  nanoseconds idle_timeout = std::chrono::minutes(5);          ///< no byte in either direction
  nanoseconds write_stall_timeout = std::chrono::seconds(30);  ///< queued bytes, no progress
  nanoseconds drain_timeout = std::chrono::seconds(30);        ///< close() to flush what is queued

  /// How long a connection may be half-closed, its peer having ended and the handler not having
  /// closed it, before on_half_closed hears of it.
  nanoseconds half_closed_limit = std::chrono::minutes(1);

  /// What one source may take, on all listeners together; and all sources of one network, which is
  /// a wider prefix, as it has its own limits.
  source_options source = {};
  source_options source_network = {.ipv4_prefix = 24, .ipv6_prefix = 48};
  bool reset_turned_away = false;  ///< who is denied or over a limit is reset, and not closed; a
                                   ///< close is a reset, too, of who has sent something (RFC 2525)

  /// But for `queue`, a descriptor is kept in reserve from the first listen() on.
  exhaustion on_exhaustion = exhaustion::queue;

  /// Completion backends: buffers of the ring and bytes each (see poller_options).
  std::uint32_t receive_buffers = 512;
  std::uint32_t ring_buffer_bytes = 16 * 1024;

  /// What tells waiting from working in the telemetry, and how far accepts lag: a clock like the
  /// poller's that is read once more in each turn, when its work is done; hinge::now, but for a
  /// simulator. Null: not measured, and nothing is paid for it; else each turn and each accept
  /// costs a little more.
  instant (*work_clock)() noexcept = nullptr;

  /// With every default resolved; or what is refused.
  HINGE_API result<loop_options> resolved() const noexcept;
  /// What of it is the poller's.
  poller_options poller_part() const noexcept {
    return {.connections = max_connections,
            .accepts_per_turn = accepts_per_turn,
            .receive_buffers = receive_buffers,
            .receive_buffer_bytes = ring_buffer_bytes,
            .accepting = accepting};
  }
};

}  // namespace hinge
