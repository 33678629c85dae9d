#include "report.hpp"

#include <hinge/error.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hinge::bench {

namespace {

constexpr std::pair<const char*, double> shown_percentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};

double in_seconds(nanoseconds span) noexcept { return std::chrono::duration<double>(span).count(); }

nlohmann::ordered_json errors_json(const error_counts& counts) {
  nlohmann::ordered_json errors = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    errors[std::string(name_of(static_cast<error_kind>(i)))] = counts[i];
  }
  return errors;
}

nlohmann::ordered_json times_json(const histogram& times) {
  if (times.count() == 0) return nullptr;
  nlohmann::ordered_json figures = {{"min", times.min()}, {"mean", times.mean()}};
  for (const auto& [name, percent] : shown_percentiles) figures[name] = times.percentile(percent);
  figures["max"] = times.max();
  return figures;
}

std::string times_text(const histogram& times) {
  const auto column = [](double value) { return fmt::format("{:>9}", short_time(value)); };
  std::string text = column(static_cast<double>(times.min())) + column(times.mean());
  for (const auto& shown : shown_percentiles) {
    text += column(static_cast<double>(times.percentile(shown.second)));
  }
  return text + column(static_cast<double>(times.max()));
}

std::string heading(const report& shown) {
  const load_options& asked = shown.asked;
  std::string text = fmt::format("{} {}", name_of(asked.work), asked.target.text());
  if (!shown.backend.empty()) text += fmt::format(" (here, on {})", shown.backend);
  if (asked.rate > 0) {
    text += fmt::format(", {:.0f} per second ({}) on at most {} connections", asked.rate,
                        name_of(asked.arrivals), asked.connections);
  } else {
    text += fmt::format(", {} connections", asked.connections);
  }
  if (asked.bytes > 0) text += fmt::format(", {} bytes each way", asked.bytes);
  return text + fmt::format(", {:.2f} s{}\n", shown.seconds(),
                            shown.found.interrupted ? ", interrupted" : "");
}

nlohmann::ordered_json restart_json(const report& shown) {
  if (shown.command.empty()) return nullptr;
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const command_run& one : shown.runs) {
    runs.push_back(
        {{"at_s", in_seconds(one.at)}, {"took_s", in_seconds(one.took)}, {"exit_code", nullptr}});
    if (one.exit_code) runs.back()["exit_code"] = *one.exit_code;
  }
  return {{"command", shown.command}, {"lost", shown.lost()}, {"runs", std::move(runs)}};
}

std::string runs_text(const std::vector<command_run>& runs) {
  std::string text;
  for (const command_run& one : runs) {
    text += fmt::format("{}at {} for {}", text.empty() ? "" : ", ",
                        short_time(static_cast<double>(one.at.count())),
                        short_time(static_cast<double>(one.took.count())));
    if (!one.exit_code) text += " and on";
    if (one.exit_code.value_or(0) != 0) text += fmt::format(" (exit code {})", *one.exit_code);
  }
  return text.empty() ? "never" : text;
}

std::string errors_text(const error_counts& counts, int other_errno) {
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const auto kind = static_cast<error_kind>(i);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", counts[i], name_of(kind));
    if (kind == error_kind::other) text += fmt::format(" ({})", errno_name(other_errno));
  }
  return text.empty() ? "none" : text;
}

}  // namespace

double report::seconds() const noexcept { return in_seconds(found.elapsed); }

std::uint64_t report::lost() const noexcept { return total(found.errors) + found.unfinished; }

bool report::all_ran_well() const noexcept {
  return !runs.empty() && std::all_of(runs.begin(), runs.end(),
                                      [](const command_run& one) { return one.exit_code == 0; });
}

double report::per_second() const noexcept {
  return found.elapsed.count() > 0 ? static_cast<double>(found.completed) / seconds() : 0;
}

double report::client_cpu_share() const noexcept {
  return found.elapsed.count() > 0 ? in_seconds(found.client_cpu) / (seconds() * asked.threads) : 0;
}

nlohmann::ordered_json to_json(const report& shown) {
  const load_options& asked = shown.asked;
  const load_result& found = shown.found;
  nlohmann::ordered_json json = {
      {"format", "hinge-bench/1"},
      {"workload", name_of(asked.work)},
      {"target", asked.target.text()},
      {"backend", nullptr},
      {"connections", asked.connections},
      {"threads", asked.threads},
      {"bytes", asked.bytes},
      {"loop", asked.rate > 0 ? "open" : "closed"},
      {"rate", nullptr},
      {"arrivals", nullptr},
      {"warmup_s", in_seconds(asked.warmup)},
      {"timeout_s", in_seconds(asked.timeout)},
      {"duration_s", shown.seconds()},
      {"completed", found.completed},
      {"per_second", shown.per_second()},
      {"errors", errors_json(found.errors)},
      {"errors_before", errors_json(found.errors_before)},
      {"other_errno", nullptr},
      {"unfinished", found.unfinished},
      {"interrupted", found.interrupted},
      {"latency_ns", times_json(found.latency)},
      {"service_ns", times_json(found.service)},
      {"client_lag_ns", times_json(found.lag)},
      {"times_clamped", found.latency.clamped() + found.service.clamped()},
      {"restart", restart_json(shown)},
      {"client_cpu_share", shown.client_cpu_share()},
  };
  if (asked.rate > 0) {
    json["rate"] = asked.rate;
    json["arrivals"] = name_of(asked.arrivals);
  }
  if (!shown.backend.empty()) json["backend"] = shown.backend;
  if (found.other_errno != 0) json["other_errno"] = errno_name(found.other_errno);
  return json;
}

std::string short_time(double nanoseconds) {
  constexpr std::pair<const char*, double> units[] = {
      {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  std::size_t unit = 0;
  // 999.5 would be written as 1000.
  while (unit + 1 < std::size(units) && nanoseconds / units[unit].second >= 999.5) ++unit;
  const double scaled = nanoseconds / units[unit].second;
  const int decimals = unit == 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", scaled, decimals, units[unit].first);
}

std::string to_table(const report& shown) {
  const load_options& asked = shown.asked;
  const load_result& found = shown.found;
  std::string text = heading(shown);
  const auto row = [&text](const char* name, const std::string& value) {
    text += fmt::format("  {:<12} {}\n", name, value);
  };
  const bool measured = found.elapsed.count() > 0;
  if (measured) {
    row("completed", fmt::format("{} ({:.0f} per second)", found.completed, shown.per_second()));
    row("errors", errors_text(found.errors, found.other_errno));
    if (!shown.command.empty()) {
      row("lost", fmt::format("{}", shown.lost()));
      row("command ran", runs_text(shown.runs));
    }
  } else {
    row("measured", "nothing");
  }
  if (total(found.errors_before) != 0) {
    row("before",
        errors_text(found.errors_before, found.other_errno) + " while connecting and warming up");
  }
  if (found.unfinished != 0) row("unfinished", fmt::format("{} at the end", found.unfinished));
  if (found.service.count() != 0) {
    std::string names = fmt::format("{:>9}{:>9}", "min", "mean");
    for (const auto& [name, percent] : shown_percentiles) names += fmt::format("{:>9}", name);
    row("", names + fmt::format("{:>9}", "max"));
    row("service", times_text(found.service));
    if (found.latency.count() != 0) row("latency", times_text(found.latency));
  }
  if (!measured) return text;
  row("client CPU", fmt::format("{:.0f} % of {} thread{}", 100 * shown.client_cpu_share(),
                                asked.threads, asked.threads == 1 ? "" : "s"));
  return text;
}

}  // namespace hinge::bench
