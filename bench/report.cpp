#include "report.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace hinge::bench {

double report::seconds() const noexcept { return in_seconds(found.elapsed); }

double report::per_second() const noexcept {
  return found.elapsed.count() > 0 ? static_cast<double>(found.completed) / seconds() : 0;
}

interval report::rate_interval() const {
  if (found.parts.empty() || asked.duration.count() == 0) return {};
  const double length = in_seconds(asked.duration) / static_cast<double>(found.parts.size());
  std::vector<double> rates;
  for (const std::uint64_t count : found.parts) {
    // Interrupted: the part that was cut off, and those after it, say nothing.
    if (length * static_cast<double>(rates.size() + 1) > seconds() * 1.001) break;
    rates.push_back(static_cast<double>(count) / length);
  }
  return bootstrap_median(rates, 1);
}

double report::client_cpu_share() const noexcept {
  return found.elapsed.count() > 0 ? in_seconds(found.client.ran) / (seconds() * asked.threads) : 0;
}

double report::client_waiting() const noexcept {
  if (found.elapsed.count() <= 0) return 0;
  return in_seconds(found.client.waited) / (seconds() * asked.threads);
}

std::optional<double> report::server_cpu_share() const noexcept {
  if (!seen.server || found.elapsed.count() <= 0) return {};
  return in_seconds(seen.server->ran) / seconds();
}

std::optional<double> report::server_waiting() const noexcept {
  if (!seen.server || found.elapsed.count() <= 0) return {};
  return in_seconds(seen.server->waited) / seconds();
}

std::optional<double> report::server_us_per_operation() const noexcept {
  if (!seen.server || found.completed == 0) return {};
  return in_seconds(seen.server->ran) * 1e6 / static_cast<double>(found.completed);
}

std::uint64_t report::lost() const noexcept { return total(found.errors) + found.unfinished; }

bool report::all_ran_well() const noexcept {
  return !runs.empty() && std::all_of(runs.begin(), runs.end(),
                                      [](const command_run& one) { return one.exit_code == 0; });
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

}  // namespace hinge::bench
