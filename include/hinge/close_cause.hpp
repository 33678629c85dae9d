// Why a connection ended. Each connection that was accepted ends with exactly one cause.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hinge {

enum class close_cause : std::uint8_t {
  none,                ///< still open
  peer_closed,         ///< the peer ended its side first, then this side closed
  peer_reset,          ///< reset, timed out or unreachable
  local_close,         ///< close() or finish() by the handler, before the peer's end
  local_abort,         ///< abort() by the handler
  first_byte_timeout,  ///< no byte arrived within loop_options::first_byte_timeout
  idle_timeout,        ///< no byte in either direction within idle_timeout
  write_stall,         ///< queued bytes and no progress within write_stall_timeout
  drain,               ///< not finished when the loop stopped, or not flushed within drain_timeout
  queue_full,          ///< what had to be queued would have passed queue_total_bytes, or the memory
  error,               ///< a system call failed in a way that says nothing about the peer
  // Turned away before a handler has seen them:
  denied,         ///< by door_options::rules
  listener_full,  ///< over door_options::max_connections
  pending_full,   ///< over door_options::max_pending
  listener_rate,  ///< over door_options::new_connections
  source_full,    ///< over loop_options::source, max_connections
  source_rate,    ///< over loop_options::source, new_connections
  network_full,   ///< over loop_options::source_network, max_connections
  network_rate,   ///< over loop_options::source_network, new_connections
};

inline constexpr std::size_t close_causes = 19;

inline constexpr std::array<std::string_view, close_causes> close_cause_names = {
    "none",          "peer_closed",        "peer_reset",    "local_close",
    "local_abort",   "first_byte_timeout", "idle_timeout",  "write_stall",
    "drain",         "queue_full",         "error",         "denied",
    "listener_full", "pending_full",       "listener_rate", "source_full",
    "source_rate",   "network_full",       "network_rate",
};

constexpr std::string_view name_of(close_cause cause) noexcept {
  return close_cause_names[static_cast<std::size_t>(cause)];
}

}  // namespace hinge
