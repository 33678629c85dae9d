#include "report_json.hpp"

#include <hinge/error.hpp>

#include <utility>

#include <nlohmann/json.hpp>

#include "json_parts.hpp"
#include "percentile_curve.hpp"

namespace hinge::bench {

namespace {

using json = nlohmann::ordered_json;

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json();
}

json errors_json(const error_counts& counts) {
  json errors = json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    errors[std::string(name_of(static_cast<error_kind>(i)))] = counts[i];
  }
  return errors;
}

json times_json(const histogram& times) {
  if (times.count() == 0) return nullptr;
  json figures = {{"min", times.min()}, {"mean", times.mean()}};
  for (const auto& [name, percent] : shown_percentiles) figures[name] = times.percentile(percent);
  figures["max"] = times.max();
  json& curve = figures["curve"] = json::array();
  for (const auto& [percent, value, count] : percentile_curve(times)) {
    curve.push_back({percent, value, count});
  }
  return figures;
}

json asked_json(const report& shown) {
  const load_options& asked = shown.asked;
  json all = {
      {"workload", name_of(asked.work)},
      {"target", asked.target.text()},
      {"backend", nullptr},
      {"loop", asked.rate > 0 ? "open" : "closed"},
      {"rate", nullptr},
      {"arrivals", nullptr},
      {"connections", asked.connections},
      {"threads", asked.threads},
      {"bytes", asked.bytes},
      {"warmup_s", in_seconds(asked.warmup)},
      {"duration_s", in_seconds(asked.duration)},
      {"timeout_s", in_seconds(asked.timeout)},
  };
  if (asked.rate > 0) {
    all["rate"] = asked.rate;
    all["arrivals"] = name_of(asked.arrivals);
  }
  if (!shown.backend.empty()) all["backend"] = shown.backend;
  return all;
}

json beside_json(const report& shown) {
  const bystander_options& asked = shown.asked.beside;
  if (asked.connections == 0) return nullptr;
  json manners = json::array();
  for (const manner one : asked.manners) manners.push_back(name_of(one));
  const bystander_result& found = shown.found.beside;
  return {{"manners", std::move(manners)},
          {"connections", asked.connections},
          {"present", found.present},
          {"ended", found.ended},
          {"made_again", found.made_again},
          {"server_bytes_each", or_null(shown.server_bytes_each())},
          {"server_cpu_us_each_second", or_null(shown.server_us_each_second())}};
}

json burst_json(const report& shown) {
  if (shown.found.drains.empty()) return nullptr;
  const interval drain = shown.drain_ns();
  return {{"rounds", shown.found.drains.size()},
          {"least_waiting", or_null(shown.found.least_waiting)},
          {"drain_ns", drain.median},
          {"drain_ns_interval", {drain.low, drain.high}}};
}

json memory_json(const std::optional<memory_growth>& memory) {
  if (!memory) return nullptr;
  return {{"before", memory->before}, {"prepared", memory->prepared}, {"end", memory->end}};
}

json figures_json(const report& shown) {
  const load_result& found = shown.found;
  const interval rate = shown.rate_interval();
  json all = {
      {"measured_s", shown.seconds()},
      {"completed", found.completed},
      {"connections_made", found.connections_made},
      {"per_second", shown.per_second()},
      {"per_second_interval", {rate.low, rate.high}},
      {"errors", errors_json(found.errors)},
      {"errors_before", errors_json(found.errors_before)},
      {"other_errno", nullptr},
      {"unfinished", found.unfinished},
      {"latency_ns", times_json(found.latency)},
      {"service_ns", times_json(found.service)},
      {"client_lag_ns", times_json(found.lag)},
      {"times_clamped", found.latency.clamped() + found.service.clamped()},
      {"client_cpu_share", shown.client_cpu_share()},
      {"client_waiting_share", shown.client_waiting()},
      {"server_cpu_share", or_null(shown.server_cpu_share())},
      {"server_waiting_share", or_null(shown.server_waiting())},
      {"server_cpu_us_per_operation", or_null(shown.server_us_per_operation())},
      {"server_memory", memory_json(shown.seen.memory)},
      {"beside", beside_json(shown)},
      {"burst", burst_json(shown)},
  };
  if (found.other_errno != 0) all["other_errno"] = errno_name(found.other_errno);
  return all;
}

json restart_json(const report& shown) {
  if (shown.command.empty()) return nullptr;
  json runs = json::array();
  for (const command_run& one : shown.runs) {
    runs.push_back({{"at_s", in_seconds(one.at)},
                    {"took_s", in_seconds(one.took)},
                    {"exit_code", or_null(one.exit_code)}});
  }
  return {{"command", shown.command}, {"lost", shown.lost()}, {"runs", std::move(runs)}};
}

}  // namespace

std::string to_json(const report& shown, const std::vector<finding>& flaws) {
  const bool valid = flaws.empty();
  const json all = {
      {"format", "hinge-bench/2"},
      {"verdict", verdict_json(flaws)},
      {"interrupted", shown.found.interrupted},
      {"asked", asked_json(shown)},
      {"figures", valid ? figures_json(shown) : json()},
      {"void_figures", valid ? json() : figures_json(shown)},
      {"restart", restart_json(shown)},
      {"kernel", kernel_json(shown.seen.kernel)},
      {"environment", environment_json(shown.here)},
  };
  return all.dump(2) + "\n";
}

}  // namespace hinge::bench
