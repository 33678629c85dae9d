#include "verdict.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "interval.hpp"
#include "report.hpp"

namespace hinge::bench {

namespace {

constexpr double most_client = 0.90;                 // of its threads' time
constexpr double most_waiting = 0.10;                // of the time, ready to run and without a CPU
constexpr double most_stolen = 0.02;                 // of one CPU's time
constexpr double most_lag = 0.25;                    // of the latency, at the 99th percentile
constexpr std::int64_t lag_of_no_account = 200'000;  // ns; a timer wakes no more exactly
constexpr double least_seconds = 1;
constexpr std::uint64_t least_completed = 1000;
constexpr double most_noise = 0.05;         // half the interval of the median rate, of that rate
constexpr double noise_of_counting = 2.45;  // the same of a Poisson process, times sqrt(count)

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

}  // namespace

std::string overflow_in(const kernel_counts& kernel) {
  constexpr std::array signs = {
      kernel_counter::listen_overflows,    kernel_counter::listen_drops,
      kernel_counter::request_queue_drops, kernel_counter::request_queue_cookies,
      kernel_counter::syn_cookies_sent,    kernel_counter::syns_sent_again,
  };
  std::string all;
  for (const kernel_counter sign : signs) {
    if (kernel[sign] <= 0) continue;
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", name_of(sign), kernel[sign]);
  }
  return all;
}

std::string lateness(const histogram& lag, const histogram& latency) {
  const std::int64_t late = lag.percentile(99);
  const auto all = static_cast<double>(latency.percentile(99));
  if (late <= lag_of_no_account || static_cast<double>(late) <= most_lag * all) return {};
  return fmt::format("it began up to {} late (p99), of a latency of {}",
                     short_time(static_cast<double>(late)), short_time(all));
}

std::string taken_by_others(const kernel_counts& kernel, double seconds) {
  if (kernel[kernel_counter::throttled] > 0) {
    return fmt::format("its cgroup's CPU quota was used up in {} periods",
                       kernel[kernel_counter::throttled]);
  }
  const double stolen = static_cast<double>(kernel[kernel_counter::stolen_ticks]) / 100;
  if (stolen <= most_stolen * seconds) return {};
  return fmt::format("the host took {:.2f} s of CPU time", stolen);
}

namespace {

std::string overflow(const report& shown) {
  const std::uint32_t waiting = shown.found.least_waiting.value_or(shown.asked.connections);
  if (waiting < shown.asked.connections) {
    return fmt::format("of {} only {} waited in it as the server went on", shown.asked.connections,
                       waiting);
  }
  return shown.asked.target.is_inet() ? overflow_in(shown.seen.kernel) : std::string();
}

std::string throttling(const report& shown) {
  std::string taken = taken_by_others(shown.seen.kernel, shown.seconds());
  if (!taken.empty()) return taken;
  if (shown.client_waiting() > most_waiting) {
    return fmt::format("the client was ready and had no CPU for {} of the time, {} at most",
                       percent(shown.client_waiting()), percent(most_waiting));
  }
  if (shown.server_waiting().value_or(0) > most_waiting) {
    return fmt::format("the server was ready and had no CPU for {} of the time, {} at most",
                       percent(*shown.server_waiting()), percent(most_waiting));
  }
  return {};
}

std::string saturation(const report& shown) {
  if (shown.asked.rate == 0) {
    const double busy = shown.client_cpu_share() + shown.client_waiting();
    if (busy <= most_client) return {};
    return fmt::format(
        "its threads were busy for {} of the time, {} at most: the rate is the "
        "client's (more --threads, or --rate)",
        percent(busy), percent(most_client));
  }
  return lateness(shown.found.lag, shown.found.latency);
}

std::string shortness(const report& shown) {
  if (shown.seconds() < least_seconds) {
    return fmt::format("{:.2f} s measured, {:.0f} s at least", shown.seconds(), least_seconds);
  }
  if (shown.found.completed < least_completed) {
    return fmt::format("{} completed, {} at least", shown.found.completed, least_completed);
  }
  return {};
}

std::string noise(const report& shown) {
  if (shown.found.completed == 0) return {};
  const interval rate = shown.rate_interval();
  const double half_width = (rate.high - rate.low) / 2;
  const double counting = noise_of_counting / std::sqrt(static_cast<double>(shown.found.completed));
  if (half_width <= (most_noise + counting) * rate.median) return {};
  return fmt::format("the rate of {} parts scatters from {:.0f} to {:.0f} (95 % of the median)",
                     shown.found.parts.size(), rate.low, rate.high);
}

std::string missing_clients(const report& shown) {
  if (shown.asked.work != workload::idle) return {};
  const std::uint32_t wanted = shown.asked.beside.connections;
  const bystander_result& found = shown.found.beside;
  if (found.present == wanted && found.ended == 0) return {};
  return fmt::format("of {} idle connections {} were there at the beginning, and {} ended", wanted,
                     found.present, found.ended);
}

std::string incompleteness(const report& shown) {
  if (shown.asked.rate == 0 || shown.found.unfinished == 0) return {};
  return fmt::format("{} operations did not end within {:.1f} s: the slowest are missing",
                     shown.found.unfinished,
                     std::chrono::duration<double>(shown.asked.timeout).count());
}

}  // namespace

std::string_view name_of(flaw what) noexcept {
  constexpr std::array<std::string_view, 7> names = {
      "overflowed queue", "throttled", "saturated client", "missing clients",
      "unfinished",       "too short", "too noisy"};
  return names[static_cast<std::size_t>(what)];
}

bool asks_enough(const load_options& asked) noexcept {
  const double seconds = in_seconds(asked.duration);
  return seconds >= least_seconds && asked.rate * seconds >= static_cast<double>(least_completed);
}

std::vector<finding> flaws_of(const report& shown) {
  std::vector<finding> all;
  if (shown.asked.work == workload::restart) return all;
  const auto add = [&all](flaw what, std::string reason) {
    if (!reason.empty()) all.push_back({what, std::move(reason)});
  };
  add(flaw::overflowed_queue, overflow(shown));
  add(flaw::throttled, throttling(shown));
  add(flaw::saturated_client, saturation(shown));
  add(flaw::missing_clients, missing_clients(shown));
  add(flaw::unfinished, incompleteness(shown));
  add(flaw::too_short, shortness(shown));
  add(flaw::too_noisy, noise(shown));
  return all;
}

}  // namespace hinge::bench
