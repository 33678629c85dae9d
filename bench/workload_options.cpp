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
constexpr double trickle = 200;  // beside idle ones
constexpr std::uint32_t trickling = 64;
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

bool is_swept(workload work) noexcept {
  return work != workload::restart && work != workload::idle && work != workload::burst;
}

std::uint32_t connections_by_default(const load_options& load) {
  switch (load.work) {
    case workload::idle:
    case workload::slow:
      return 1000;
    case workload::burst:
      return 100;
    default:
      return load.rate > 0 && script_of(load).life == lifetime{} ? 1024 : 64;
  }
}

/// Which of all connections are the load's, and which stand beside it.
void share_out(load_arguments& given) {
  load_options& load = given.load;
  const std::uint32_t all = given.connections.value_or(connections_by_default(load));
  load.connections = all;
  if (load.work == workload::idle) {
    load.beside = {all, {manner::idle}};
    load.connections = trickling;
  } else if (load.work == workload::slow) {
    if (all < 2)
      throw unit::unit_error("--connections: of slow and of good ones, one each at least");
    const double share = std::round(all * given.slow_share);
    load.beside.connections = static_cast<std::uint32_t>(std::clamp(share, 1.0, all - 1.0));
    load.connections = all - load.beside.connections;
  }
}

/// One thread for as many operations as it can begin in time, where there are CPUs for more.
std::uint32_t planned_threads(double rate) {
  const unsigned cpus = std::max(std::thread::hardware_concurrency(), 2U);
  return static_cast<std::uint32_t>(
      std::clamp(std::ceil(rate / rate_of_a_thread), 1.0, cpus - 1.0));
}

manner slow_manner(std::string_view text) {
  for (const manner one : {manner::silent, manner::dribbling, manner::deaf}) {
    if (name_of(one) == text) return one;
  }
  throw unit::unit_error(fmt::format("'{}': must be silent, dribbling, deaf or mixed", text));
}

void check_burst(const load_arguments& given) {
  if (given.load.rate > 0) throw unit::unit_error("--rate: a burst has none");
  if (given.load.threads > 1) throw unit::unit_error("--threads: one fills the queue");
  if (given.targeted && given.server_process == 0) {
    throw unit::unit_error(
        "--server-pid: say whose process to stop (SIGSTOP) while its queue is filled");
  }
}

void complete_sweep(load_arguments& given, const command& command) {
  load_options& load = given.load;
  load.rate = given.swept->to;
  if (!given.hdr_path.empty()) throw unit::unit_error("--hdr: of one load, and not of a sweep");
  if (!command.given("--warmup")) load.warmup = std::chrono::milliseconds(500);
  if (command.given("--duration")) return;
  load.duration = std::max<std::chrono::nanoseconds>(
      std::chrono::seconds(2),
      std::chrono::nanoseconds(std::llround(enough_operations / given.swept->from * 1e9)));
}

}  // namespace

void add_workload_options(command line, load_arguments& into, workload work) {
  load_options& load = into.load;
  if (is_swept(work)) {
    line.option("--sweep", "FROM..TO",
                "latency against offered load: open loops of rising rates, as 1k..30k, up to where "
                "the server no longer follows",
                [&](const auto& text) {
                  const auto [from, to] = parse_range(text, most_rate);
                  if (from == to) throw unit::unit_error(fmt::format("'{}': is one rate", text));
                  into.swept = {static_cast<double>(from), static_cast<double>(to)};
                });
  }
  if (work == workload::churn || work == workload::slow) {
    line.flag("--closed", into.closed, "a closed loop, in place of a rate");
  }
  if (work == workload::slow) {
    load.beside.manners = {manner::silent, manner::dribbling, manner::deaf};
    line.option("--share", "P%", "of the connections that are slow (10%)", [&](const auto& text) {
      if (text.empty() || text.back() != '%')
        throw unit::unit_error(fmt::format("'{}': must be a percentage, as 10%", text));
      const std::string number = text.substr(0, text.size() - 1);
      into.slow_share = unit::parse_within<double>(number, 1, 99) / 100;
    });
    line.option("--manner", "KIND", "of the slow ones: silent, dribbling, deaf, or mixed",
                [&](const auto& text) {
                  if (text != "mixed") load.beside.manners = {slow_manner(text)};
                });
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
  return work == workload::restart || work == workload::churn || work == workload::idle ||
         work == workload::slow;
}

void complete_workload(load_arguments& given, const command& command) {
  load_options& load = given.load;
  if (given.swept && load.rate != 0)
    throw unit::unit_error("--sweep excludes --rate: it has its own");
  if (given.closed && (given.swept || load.rate != 0))
    throw unit::unit_error("--closed excludes --rate and --sweep: those are of an open loop");
  if (given.swept) complete_sweep(given, command);
  if (load.rate == 0 && !given.closed && is_open_by_default(load.work))
    load.rate = load.work == workload::idle ? trickle : default_rate;
  if (load.work == workload::burst) check_burst(given);
  if (!command.given("--threads") && load.rate > 0) load.threads = planned_threads(load.rate);
  share_out(given);
}

}  // namespace hinge::bench
