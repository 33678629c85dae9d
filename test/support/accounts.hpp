// Whether the accounts of a loop add up: what it has counted, against each connection in its table.
#pragma once

#include <hinge/loop_base.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hinge::test {

/// What doesn't add up outside of a turn; empty when all does.
inline std::string wrong_in_accounts(const loop_base& loop) {
  const loop_counters& counted = loop.counters();
  const connection_table& table = loop.table();
  std::string wrong;
  // After each turn of a million: no text is made before it is wanted.
  const auto check = [&](bool holds, const char* what) {
    if (!holds) wrong.append(what).append("\n");
  };

  struct at_door {
    std::uint32_t connections = 0;
    std::uint32_t pending = 0;
  };
  std::array<at_door, loop_base::max_listeners> doors;
  std::uint32_t open = 0;
  std::uint32_t used = 0;
  std::uint32_t half_closed = 0;
  for (std::uint32_t slot = 0; slot < table.touched(); ++slot) {
    const hot_entry& h = table.hot(slot);
    if (h.state == connection_state::free) continue;
    ++used;
    if (h.state == connection_state::detaching) continue;
    ++open;
    half_closed += h.has(connection_flag::half_closed);
    const bool pending = h.has(connection_flag::pending);
    doors.at(h.listener).connections += h.has(connection_flag::counted);
    doors.at(h.listener).pending += pending;
    check(!pending || (h.bytes_in == 0 && h.has(connection_flag::counted)), "who is pending");
    check(!h.has(connection_flag::half_closed) ||
              (h.has(connection_flag::peer_ended | connection_flag::end_unread |
                     connection_flag::end_seen) &&
               h.state != connection_state::draining),
          "who is half-closed");
  }

  if (counted.accepted != open + counted.closed_total() + counted.shed)
    wrong += "accepted: " + std::to_string(counted.accepted) + ", open " + std::to_string(open) +
             ", closed " + std::to_string(counted.closed_total()) + ", shed " +
             std::to_string(counted.shed) + "\n";
  check(loop.open_connections() == open, "open connections");
  check(table.size() == used, "slots in use");
  check(counted.closed[static_cast<std::size_t>(close_cause::none)] == 0, "closed without a cause");
  check(counted.shed_exhausted <= counted.shed, "shed for want of descriptors");
  check(counted.refused_total <= counted.refused_sends, "refused sends");
  check(counted.accept_unknown <= counted.accept_exhausted, "unknown errors");
  check(counted.accept_episodes <= counted.accept_exhausted, "episodes");
  check(loop.half_closed() == half_closed, "half-closed connections");
  check(loop.oldest_half_closed().has_value() == (half_closed != 0), "the oldest half-closed one");
  for (std::size_t i = 0; i < loop.listeners(); ++i) {
    check(loop.door_at(i).connections() == doors[i].connections, "connections of a listener");
    check(loop.door_at(i).pending() == doors[i].pending, "pending connections of a listener");
  }
  return wrong;
}

}  // namespace hinge::test
