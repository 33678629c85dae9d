#include "statistics.hpp"

#include <hinge/loop_counters.hpp>

#include <cstddef>

#include <nlohmann/json.hpp>

namespace hinge::serve {
namespace {

using json = nlohmann::ordered_json;

/// Of a loop, or of a server.
template <class Listening>
json listeners_of(const Listening& of) {
  json all = json::array();
  for (std::size_t i = 0; i < of.listeners(); ++i) {
    const listener& one = of.listener_at(i);
    all.push_back({{"address", one.local().text()},
                   {"asked_backlog", one.asked_backlog()},
                   {"effective_backlog", one.effective_backlog()}});
  }
  return all;
}

json closed_by_cause(const loop_counters& counted) {
  json causes = json::object();
  for (std::size_t cause = 1; cause < close_causes; ++cause)
    causes[std::string(close_cause_names[cause])] = counted.closed[cause];
  return causes;
}

/// What every counter says, behind what is put before.
std::string with_counters(json all, const loop_counters& counted) {
  for (const loop_counter& one : loop_counter_table)
    all[std::string(one.name)] = counted.*one.count;
  all["closed"] = closed_by_cause(counted);
  return all.dump();
}

}  // namespace

std::string statistics_of(const loop_base& loop, const poller_in_use& poller) {
  std::uint64_t queued = 0;
  for (std::uint32_t slot = 0; slot < loop.table().touched(); ++slot) {
    const hot_entry& entry = loop.table().hot(slot);
    if (entry.state != connection_state::free) queued += entry.queued;
  }
  return with_counters(
      {
          {"backend", poller.name},
          {"backend_reason", poller.reason},
          {"ring_requests", poller.requests},
          {"listeners", listeners_of(loop)},
          {"stopping", loop.stopping()},
          {"max_connections", loop.options().max_connections},
          {"open", loop.open_connections()},
          {"half_closed", loop.half_closed()},
          {"queued_bytes", queued},
      },
      loop.counters());
}

std::string statistics_of(const server_base& server, const poller_in_use& poller) {
  const server_statistics seen = server.statistics();
  json loops = json::array();
  for (const loop_statistics& one : seen.loops)
    loops.push_back({{"accepted", one.counters.accepted},
                     {"open", one.open_connections},
                     {"turns", one.counters.turns},
                     {"cpu", one.cpu < 0 ? json() : json(one.cpu)}});
  return with_counters(
      {
          {"backend", poller.name},
          {"backend_reason", poller.reason},
          {"ring_requests", poller.requests},
          {"policy", policy_name(server.policy())},
          {"policy_reason", server.policy_reason()},
          {"listeners", listeners_of(server)},
          {"open", seen.open_connections()},
          {"fairness", seen.fairness},
          {"loops", loops},
      },
      seen.total());
}

}  // namespace hinge::serve
