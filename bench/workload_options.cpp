#include "workload_options.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "units.hpp"

namespace hinge::bench {

namespace {

namespace unit = hinge::units;

constexpr std::uint64_t longest_life = 1'000'000'000;
constexpr double default_rate = 1000;
constexpr double rate_of_a_thread = 15'000;  // about half of what one can do on loopback
constexpr double enough_operations = 1100;   // of a step of a sweep, to be valid

/// "A..B", with 1 <= A <= B <= `most`.
std::pair<std::uint64_t, std::uint64_t> parse_range(std::string_view text, std::uint64_t most) {
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos)
    throw unit::unit_error(fmt::format("'{}': must be a range, as 1..100", text));
  const auto low = unit::parse_within<std::uint64_t>(text.substr(0, dots), 1, most);
  const auto high = unit::parse_within<std::uint64_t>(text.substr(dots + 2), 1, most);
  if (low > high) throw unit::unit_error(fmt::format("'{}': begins above its end", text));
  return {low, high};
}

/// One thread for as many operations as it can begin in time, where there are CPUs for more.
std::uint32_t planned_threads(double rate) {
  const unsigned cpus = std::max(std::thread::hardware_concurrency(), 2U);
  return static_cast<std::uint32_t>(
      std::clamp(std::ceil(rate / rate_of_a_thread), 1.0, cpus - 1.0));
}

void complete_sweep(arguments& given, const command& command) {
  load_options& load = given.load;
  load.rate = given.swept->to;
  if (!command.given("--warmup")) load.warmup = std::chrono::milliseconds(500);
  if (command.given("--duration")) return;
  load.duration = std::max<std::chrono::nanoseconds>(
      std::chrono::seconds(2),
      std::chrono::nanoseconds(std::llround(enough_operations / given.swept->from * 1e9)));
}

}  // namespace

void add_workload_options(command line, arguments& into, workload work) {
  load_options& load = into.load;
  if (work != workload::restart) {
    line.option("--sweep", "FROM..TO",
                "latency against offered load: open loops of rising rates, as 1k..30k, up to where "
                "the server no longer follows",
                [&](const auto& text) {
                  const auto [from, to] = parse_range(text, most_rate);
                  if (from == to) throw unit::unit_error(fmt::format("'{}': is one rate", text));
                  into.swept = {static_cast<double>(from), static_cast<double>(to)};
                });
  }
  if (is_open_by_default(work) && work != workload::restart) {
    line.flag("--closed", into.closed, "a closed loop, in place of a rate");
  }
  if (work == workload::churn) {
    line.option("--lifetime", "A..B",
                "exchanges in a connection's life, drawn from the range for each (1..100)",
                [&](const auto& text) {
                  const auto [least, most] = parse_range(text, longest_life);
                  load.life = {static_cast<std::uint32_t>(least), static_cast<std::uint32_t>(most)};
                });
  }
}

bool is_open_by_default(workload work) noexcept {
  return work == workload::restart || work == workload::churn;
}

void complete_workload(arguments& given, const command& command) {
  load_options& load = given.load;
  if (given.swept && load.rate != 0)
    throw unit::unit_error("--sweep excludes --rate: it has its own");
  if (given.closed && (given.swept || load.rate != 0))
    throw unit::unit_error("--closed excludes --rate and --sweep: those are of an open loop");
  if (given.swept) complete_sweep(given, command);
  if (load.rate == 0 && !given.closed && is_open_by_default(load.work)) load.rate = default_rate;
  if (!command.given("--threads") && load.rate > 0) load.threads = planned_threads(load.rate);
}

}  // namespace hinge::bench
