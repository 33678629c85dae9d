// What a loop, or a server's loops together, have counted, as one JSON object.
#pragma once

#include <hinge/retirement.hpp>
#include <hinge/server_base.hpp>
#include <hinge/telemetry.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "successor.hpp"

namespace hinge::serve {

/// The poller of a loop: its name, why it is this one, and the size of its ring.
struct poller_in_use {
  std::string name;
  std::string reason;
  std::uint32_t requests = 0;
};

/// Every counter of loop_counters.hpp under its name, the listeners, and what is open and queued
/// now; times in seconds, null what the system doesn't tell. accepted == open + the sum of closed +
/// shed. `retired`: what became of the listeners' clients, when they have retired;
/// `upgrades`: what became of attempts to be followed, with --upgrade.
std::string statistics_of(const telemetry& seen, const poller_in_use& poller,
                          const std::optional<retire_report>& retired,
                          const std::optional<upgrade_report>& upgrades);

/// The same of all loops together (server_statistics); and of each what it has accepted and has
/// open, the policy, and its fairness. A loop that hangs is waited for no longer than
/// `loop_patience`. Any thread but the loops'.
inline constexpr nanoseconds loop_patience = std::chrono::seconds(1);
std::string statistics_of(const server_base& server, const poller_in_use& poller,
                          const std::optional<retire_report>& retired,
                          const std::optional<upgrade_report>& upgrades);

}  // namespace hinge::serve
