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

namespace {

constexpr std::size_t parts_of_rounds = 20;

/// The means of equal parts: a bootstrap of each round would take longer than the load.
std::vector<double> mean_drains(const std::vector<nanoseconds>& drains) {
  std::vector<double> means;
  const std::size_t parts = std::min(drains.size(), parts_of_rounds);
  for (std::size_t i = 0; i < parts; ++i) {
    double sum = 0;
    const std::size_t begin = i * drains.size() / parts;
    const std::size_t end = (i + 1) * drains.size() / parts;
    for (std::size_t at = begin; at < end; ++at) sum += static_cast<double>(drains[at].count());
    means.push_back(sum / static_cast<double>(end - begin));
  }
  return means;
}

}  // namespace

interval report::drain_ns() const { return bootstrap_median(mean_drains(found.drains), 1); }

interval report::rate_interval() const {
  if (!found.drains.empty()) {
    const interval drain = drain_ns();
    const double all = asked.connections * 1e9;
    return {all / drain.median, all / drain.high, all / drain.low};
  }
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

std::optional<double> report::server_bytes_each() const noexcept {
  if (!seen.memory || found.beside.present == 0) return {};
  const auto before = static_cast<double>(seen.memory->before);
  const double grown = std::max(static_cast<double>(seen.memory->prepared) - before, 0.0);
  return grown / found.beside.present;
}

std::optional<double> report::server_us_each_second() const noexcept {
  if (asked.work != workload::idle || !seen.server) return {};
  if (found.elapsed.count() <= 0 || found.beside.present == 0) return {};
  return in_seconds(seen.server->ran) * 1e6 / (seconds() * found.beside.present);
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
