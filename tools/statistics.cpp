#include "statistics.hpp"

#include <nlohmann/json.hpp>

namespace hinge::serve {
namespace {

using json = nlohmann::ordered_json;

json listeners_of(const loop_base& loop) {
  json all = json::array();
  for (std::size_t i = 0; i < loop.listeners(); ++i) {
    const listener& one = loop.listener_at(i);
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

}  // namespace

std::string statistics_of(const loop_base& loop, const poller_in_use& poller) {
  const loop_counters& counted = loop.counters();
  std::uint64_t queued = 0;
  for (std::uint32_t slot = 0; slot < loop.table().touched(); ++slot) {
    const hot_entry& entry = loop.table().hot(slot);
    if (entry.state != connection_state::free) queued += entry.queued;
  }
  const json all = {
      {"backend", poller.name},
      {"backend_reason", poller.reason},
      {"ring_requests", poller.requests},
      {"listeners", listeners_of(loop)},
      {"stopping", loop.stopping()},
      {"max_connections", loop.options().max_connections},
      {"accepted", counted.accepted},
      {"open", loop.open_connections()},
      {"half_closed", loop.half_closed()},
      {"closed", closed_by_cause(counted)},
      {"shed", counted.shed},
      {"shed_exhausted", counted.shed_exhausted},
      {"bytes_in", counted.bytes_in},
      {"bytes_out", counted.bytes_out},
      {"queued_bytes", queued},
      {"turns", counted.turns},
      {"events", counted.events},
      {"stale_events", counted.stale_events},
      {"stale_operations", counted.stale_operations},
      {"refused_sends", counted.refused_sends},
      {"refused_total", counted.refused_total},
      {"accept_retries", counted.accept_retries},
      {"accept_exhausted", counted.accept_exhausted},
      {"accept_episodes", counted.accept_episodes},
      {"accept_unknown", counted.accept_unknown},
      {"listeners_died", counted.listeners_died},
      {"full_pauses", counted.full_pauses},
      {"read_pauses", counted.read_pauses},
  };
  return all.dump();
}

}  // namespace hinge::serve
