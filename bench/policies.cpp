// hinge-policies: each accept policy on each backend that can do it. How evenly it spreads
// connections over loops, how often it wakes one in vain, and what one slow loop does to all waits
// from connect(2) to the first byte. Prints the table of docs/POLICIES.md.
#include <hinge/any_poller.hpp>
#include <hinge/server.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command_line.hpp"
#include "histogram.hpp"
#include "plain_client.hpp"
#include "units.hpp"

namespace {

using namespace hinge::bench;
using hinge::accept_policy;
using hinge::backend;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

struct arguments {
  std::uint32_t loops = 8;
  std::uint32_t clients = 16;
  std::uint32_t connections = 200;  // of each client
  nanoseconds work = std::chrono::microseconds(200);
  nanoseconds slow = milliseconds(20);
  std::optional<backend> only_backend;
  std::optional<accept_policy> only_policy;
};

/// Works for a while, says one byte, and goes; as a handler that asks something slow would.
struct greeter {
  nanoseconds work{};
  void on_accept(hinge::connection c) noexcept {
    if (work.count() != 0) std::this_thread::sleep_for(work);
    constexpr std::byte greeting{'x'};
    c.finish(std::span(&greeting, 1));
  }
  void on_data(hinge::connection, std::span<std::byte>) noexcept {}
};

struct outcome {
  hinge::server_statistics seen;
  histogram waits;
  double p90_us() const { return static_cast<double>(waits.percentile(90)) / 1000; }
};

/// What all clients have waited, one connection after the other each.
histogram wait_of_clients(const arguments& given, std::uint16_t port) {
  std::vector<histogram> waits(given.clients);
  std::vector<std::thread> threads;
  for (histogram& mine : waits) {
    threads.emplace_back([&mine, &given, port] {
      for (std::uint32_t i = 0; i < given.connections; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const int fd = connect_to(port);
        receive_reply(fd, 1, false);
        mine.record((std::chrono::steady_clock::now() - begin) / nanoseconds(1));
        end_connection(fd, true);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  for (std::size_t i = 1; i < waits.size(); ++i) waits[0].merge(waits[i]);
  return std::move(waits[0]);
}

/// Nothing: that backend can't do that policy.
std::optional<outcome> measure(const arguments& given, backend of, accept_policy policy,
                               nanoseconds work_of_first) {
  hinge::server<hinge::any_poller, greeter> server(
      [&](std::uint32_t index) { return greeter{index == 0 ? work_of_first : given.work}; },
      [of] { return *hinge::any_poller::of(of); });
  hinge::server_options options{.loops = given.loops, .policy = policy};
  options.loop.max_connections = 1000;
  options.loop.receive_buffers = 64;
  if (const auto opened = server.open(options); !opened) {
    if (opened.error().code() == EOPNOTSUPP) return {};
    throw std::runtime_error(opened.error().text());
  }
  if (const auto listening = server.listen(hinge::address::loopback(0)); !listening)
    throw std::runtime_error(listening.error().text());
  if (const auto started = server.start(); !started)
    throw std::runtime_error(started.error().text());
  histogram waits = wait_of_clients(given, server.listener_at(0).local().port());
  outcome found{server.statistics(), std::move(waits)};
  server.stop();
  (void)server.join();
  return found;
}

constexpr std::array policies = {
    accept_policy::sharded,     accept_policy::sharded_cpu,
    accept_policy::shared_fifo, accept_policy::shared_exclusive,
    accept_policy::dispatch,    accept_policy::thread_per_connection,
};

std::string shares(const hinge::server_statistics& seen) {
  std::vector<std::uint64_t> all;
  for (const auto& one : seen.loops) all.push_back(one.counters.accepted);
  return fmt::format("{}", fmt::join(all, " "));
}

void compare(const arguments& given, backend of) {
  for (const accept_policy policy : policies) {
    if (given.only_policy.value_or(policy) != policy) continue;
    arguments quick = given;
    quick.work = {};
    const auto plain = measure(quick, of, policy, {});
    if (!plain) continue;
    const auto even = measure(given, of, policy, given.work);
    const auto slowed = measure(given, of, policy, given.slow);
    const auto ms = [](const outcome& one) { return one.p90_us() / 1000; };
    fmt::print("| {} | {} | {} | {:.3f} | {} | {:.2f} | {:.2f} | {:.1f} | {} |\n",
               hinge::policy_name(policy), hinge::backend_name(of), shares(plain->seen),
               plain->seen.fairness, plain->seen.total().accept_misses, ms(*even), ms(*slowed),
               ms(*slowed) / ms(*even), shares(slowed->seen));
    std::fflush(stdout);
  }
}

/// What a name stands for.
template <class Which>
Which known(const std::optional<Which>& found, const std::string& name) {
  if (!found) throw hinge::units::unit_error(name + ": there is none of that name");
  return *found;
}

}  // namespace

int main(int argc, char** argv) {
  namespace unit = hinge::units;
  hinge::command_line line("hinge-policies",
                           "Compares accept policies; prints a table in Markdown.");
  arguments given;
  line.option("--loops", "N", "of each server (8)", [&](const auto& text) {
    given.loops = unit::parse_within<std::uint32_t>(text, 1, 64);
  });
  line.option("--clients", "N", "threads that connect (16)", [&](const auto& text) {
    given.clients = unit::parse_within<std::uint32_t>(text, 1, 256);
  });
  line.option("--connections", "N", "of each client (200)", [&](const auto& text) {
    given.connections = unit::parse_within<std::uint32_t>(text, 1, 1'000'000);
  });
  line.option("--work", "T", "of a loop for each connection (200us)",
              [&](const auto& text) { given.work = unit::parse_duration(text); });
  line.option("--slow", "T", "the same, of the slow loop (20ms)",
              [&](const auto& text) { given.slow = unit::parse_duration(text); });
  line.option("--backend", "NAME", "that one alone", [&](const auto& text) {
    given.only_backend = known(hinge::backend_named(text), text);
  });
  line.option("--policy", "NAME", "that one alone", [&](const auto& text) {
    given.only_policy = known(hinge::policy_named(text), text);
  });
  try {
    if (const auto ended = line.parse(argc, argv)) return *ended;
    fmt::print("{} loops, {} clients with {} connections each, one after the other\n\n",
               given.loops, given.clients, given.connections);
    fmt::print(
        "| policy | backend | accepted by each loop, no work | fairness | woken in vain | p90 ms, "
        "even work | p90 ms, one slow | ratio | accepted by each loop, the first slow |\n"
        "|---|---|---|---|---|---|---|---|---|\n");
    const hinge::backend_choice report = hinge::backend_report();
    for (const auto& one : report.candidates())
      if (one.usable && given.only_backend.value_or(one.which) == one.which)
        compare(given, one.which);
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-policies: {}\n", wrong.what());
    return 3;
  }
}
