#include "statistics.hpp"

#include <hinge/loop_counters.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <nlohmann/json.hpp>

namespace hinge::serve {
namespace {

using json = nlohmann::ordered_json;

double seconds(nanoseconds length) { return std::chrono::duration<double>(length).count(); }

/// Null is what the system doesn't tell, or what there isn't.
json or_null(std::optional<std::uint32_t> figure) { return figure ? json(*figure) : json(); }
json or_null(std::optional<nanoseconds> length) { return length ? json(seconds(*length)) : json(); }

json listeners_of(std::span<const listener_telemetry> seen) {
  json all = json::array();
  for (const listener_telemetry& one : seen)
    all.push_back({{"address", one.where.text()},
                   {"asked_backlog", or_null(one.asked_backlog)},
                   {"effective_backlog", or_null(one.effective_backlog)},
                   {"accepting", one.accepting},
                   {"waiting", or_null(one.waiting)},
                   {"most_waiting", or_null(one.most_waiting)},
                   {"drops", or_null(one.drops)},
                   {"pauses", one.pauses},
                   {"paused", seconds(one.paused)}});
  return all;
}

json or_null(const std::optional<retire_report>& done) {
  if (!done) return {};
  return {{"by", guarantee_name(done->by)},
          {"steered", done->steered},
          {"drained", done->drained},
          {"handed_over", done->handed_over},
          {"lost", done->lost},
          {"took", seconds(done->took)}};
}

json closed_by_cause(const loop_counters& counted) {
  json causes = json::object();
  for (std::size_t cause = 1; cause < close_causes; ++cause)
    causes[std::string(close_cause_names[cause])] = counted.closed[cause];
  return causes;
}

/// What every counter says, behind what is put before.
std::string with_counters(json all, const std::optional<upgrade_report>& upgrades,
                          const loop_counters& counted) {
  if (upgrades)
    all["upgrades"] = {
        {"attempts", upgrades->attempts},
        {"failures", upgrades->failures},
        {"last_error", upgrades->failures == 0 ? json() : json(upgrades->last_error)},
        {"successor", upgrades->successor < 0 ? json() : json(upgrades->successor)}};
  for (const loop_counter& one : loop_counter_table)
    all[std::string(one.name)] = counted.*one.count;
  all["closed"] = closed_by_cause(counted);
  return all.dump();
}

}  // namespace

std::string statistics_of(const telemetry& seen, const poller_in_use& poller,
                          const std::optional<retire_report>& retired,
                          const std::optional<upgrade_report>& upgrades) {
  return with_counters(
      {
          {"backend", poller.name},
          {"backend_reason", poller.reason},
          {"ring_requests", poller.requests},
          {"listeners", listeners_of(seen.listeners())},
          {"stopping", seen.stopping},
          {"max_connections", seen.max_connections},
          {"open", seen.open},
          {"half_closed", seen.half_closed},
          {"oldest_half_closed", or_null(seen.oldest_half_closed)},
          {"queued_bytes", seen.queued_bytes},
          {"retired", or_null(retired)},
      },
      upgrades, seen.counters);
}

std::string statistics_of(const server_base& server, const poller_in_use& poller,
                          const std::optional<retire_report>& retired,
                          const std::optional<upgrade_report>& upgrades) {
  const server_statistics seen = server.statistics(loop_patience);
  json loops = json::array();
  for (const loop_statistics& one : seen.loops)
    loops.push_back({{"accepted", one.counters.accepted},
                     {"open", one.open},
                     {"turns", one.counters.turns},
                     {"accept_misses", one.counters.accept_misses},
                     {"late", one.late},
                     {"backend", one.backend},
                     {"cpu", one.cpu < 0 ? json() : json(one.cpu)}});
  return with_counters(
      {
          {"backend", poller.name},
          {"backend_reason", poller.reason},
          {"ring_requests", poller.requests},
          {"policy", policy_name(server.policy())},
          {"policy_reason", server.policy_reason()},
          {"listeners", listeners_of(seen.listeners)},
          {"open", seen.open_connections()},
          {"half_closed", seen.half_closed()},
          {"oldest_half_closed", or_null(seen.oldest_half_closed())},
          {"queued_bytes", seen.queued_bytes()},
          {"fairness", seen.fairness},
          {"late", seen.late},
          {"loops", loops},
          {"retired", or_null(retired)},
      },
      upgrades, seen.total());
}

}  // namespace hinge::serve
