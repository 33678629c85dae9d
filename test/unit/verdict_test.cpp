// Bad set-ups, each of which is found; and a good one, of which nothing is said.
#include "verdict.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

#include "report.hpp"
#include "thresholds.hpp"

using namespace hinge::bench;
using namespace std::chrono_literals;

namespace {

report good_run() {
  report shown;
  shown.asked.target = hinge::address::loopback(7000);
  shown.asked.duration = shown.found.elapsed = 10s;
  shown.found.client.ran = 5s;
  shown.found.parts.assign(20, 500);
  shown.found.completed = 10'000;
  for (int i = 0; i < 10'000; ++i) shown.found.service.record(100'000);
  return shown;
}

report good_open_run() {
  report shown = good_run();
  shown.asked.rate = 1000;
  shown.found.latency = shown.found.service;
  for (int i = 0; i < 10'000; ++i) shown.found.lag.record(20'000);
  return shown;
}

/// The one flaw, and the reason; "" when there is none.
std::string flaw_of(const report& shown) {
  const std::vector<finding> all = flaws_of(shown);
  REQUIRE(all.size() <= 1);
  return all.empty() ? "" : std::string(name_of(all[0].what)) + ": " + all[0].reason;
}

}  // namespace

TEST_CASE("a good run is valid") {
  CHECK(flaw_of(good_run()) == "");
  CHECK(flaw_of(good_open_run()) == "");
}

TEST_CASE("connections that the kernel turned away, by each of its counters") {
  for (const kernel_counter sign :
       {kernel_counter::listen_overflows, kernel_counter::listen_drops,
        kernel_counter::request_queue_drops, kernel_counter::request_queue_cookies,
        kernel_counter::syn_cookies_sent, kernel_counter::syns_sent_again}) {
    report shown = good_run();
    shown.seen.kernel[sign] = 3;
    CHECK(flaw_of(shown) == "overflowed queue: " + std::string(name_of(sign)) + " 3");
    // Those are of TCP.
    shown.asked.target = *hinge::address::parse("unix:/path");
    CHECK(flaw_of(shown) == "");
  }
  report shown = good_run();
  shown.seen.kernel[kernel_counter::segments_sent_again] = 3;
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("no CPU for who is ready to run") {
  report shown = good_run();
  shown.found.client.waited = 1100ms;
  CHECK(flaw_of(shown) ==
        "throttled: the client was ready and had no CPU for 11 % of the time, "
        "10 % at most");
  shown = good_run();
  shown.seen.server = cpu_usage{9s, 1100ms};
  CHECK(flaw_of(shown).starts_with("throttled: the server"));
  shown.seen.server = cpu_usage{10s, 900ms};
  CHECK(flaw_of(shown) == "");
  shown.seen.kernel[kernel_counter::throttled] = 1;
  CHECK(flaw_of(shown).starts_with("throttled: its cgroup"));
  shown = good_run();
  shown.seen.kernel[kernel_counter::stolen_ticks] = 21;
  CHECK(flaw_of(shown) == "throttled: the host took 0.21 s of CPU time");
  shown.seen.kernel[kernel_counter::stolen_ticks] = 20;
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("a client that is the bottleneck") {
  report shown = good_run();
  shown.found.client.ran = 9100ms;
  CHECK(flaw_of(shown).starts_with("saturated client: its threads were busy for 91 %"));
  shown.asked.threads = 2;
  CHECK(flaw_of(shown) == "");
  // Waiting is as good as working.
  shown = good_run();
  shown.found.client = {8200ms, 900ms};
  CHECK(flaw_of(shown).starts_with("saturated client"));
  // Of an open loop it is the lag that counts.
  shown = good_open_run();
  shown.found.client.ran = 9900ms;
  CHECK(flaw_of(shown) == "");
  for (int i = 0; i < 1000; ++i) shown.found.lag.record(300'000);
  CHECK(flaw_of(shown).starts_with("saturated client: it began up to 300 us late"));
  for (int i = 0; i < 1000; ++i) shown.found.latency.record(5'000'000);
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("an open loop whose slowest are missing") {
  report shown = good_open_run();
  shown.found.unfinished = 1;
  CHECK(flaw_of(shown) ==
        "unfinished: 1 operations did not end within 5.0 s: the slowest are "
        "missing");
  shown = good_run();
  shown.found.unfinished = 64;
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("idle connections that were to be there") {
  report shown = good_open_run();
  shown.asked.work = workload::idle;
  shown.asked.beside.connections = shown.found.beside.present = 100;
  CHECK(flaw_of(shown) == "");
  shown.found.beside.ended = 3;
  CHECK(flaw_of(shown) ==
        "missing clients: of 100 idle connections 100 were there at the beginning, and 3 ended");
  shown.found.beside = {.present = 99};
  CHECK(flaw_of(shown).starts_with("missing clients: of 100 idle connections 99 were"));
  // Who has bad manners may be shown the door.
  shown.asked.work = workload::slow;
  shown.found.beside.ended = 3;
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("a burst that did not wait in the queue as a whole") {
  report shown = good_run();
  shown.asked.work = workload::burst;
  shown.asked.connections = 100;
  shown.found.drains.assign(100, 100ms);
  shown.found.least_waiting = 100;
  CHECK(flaw_of(shown) == "");
  shown.found.least_waiting = 99;
  CHECK(flaw_of(shown) == "overflowed queue: of 100 only 99 waited in it as the server went on");
  // A Unix socket's, too, where the kernel counts nothing.
  shown.asked.target = *hinge::address::parse("unix:/path");
  CHECK(flaw_of(shown).starts_with("overflowed queue"));
  // What scatters are the drains, and not the parts of the time.
  shown.found.least_waiting = 100;
  for (std::size_t i = 0; i < 100; ++i) shown.found.drains[i] = i % 10 < 5 ? 50ms : 500ms;
  CHECK(flaw_of(shown).starts_with("too noisy"));
}

TEST_CASE("too short, and too few") {
  report shown = good_run();
  shown.asked.duration = shown.found.elapsed = 100ms;
  shown.found.client.ran = 50ms;
  CHECK(flaw_of(shown) == "too short: 0.10 s measured, 1 s at least");
  shown = good_run();
  shown.found.completed = 999;
  shown.found.parts.assign(20, 50);
  CHECK(flaw_of(shown) == "too short: 999 completed, 1000 at least");
}

TEST_CASE("too noisy is judged by whole parts, and beyond what counting scatters") {
  report shown = good_run();
  for (std::size_t i = 0; i < 20; ++i) shown.found.parts[i] = i % 2 == 0 ? 300 : 700;
  CHECK(flaw_of(shown).starts_with("too noisy: the rate of 20 parts scatters from 600 to 1400"));
  for (std::size_t i = 0; i < 20; ++i) shown.found.parts[i] = i % 2 == 0 ? 490 : 510;
  CHECK(flaw_of(shown) == "");
  // Interrupted in the eleventh part.
  shown.found.elapsed = 5200ms;
  shown.found.client.ran = 2s;
  for (std::size_t i = 10; i < 20; ++i) shown.found.parts[i] = 0;
  CHECK(flaw_of(shown) == "");
}

TEST_CASE("all flaws are told, the worst first; of a restart none") {
  report shown = good_run();
  shown.found.elapsed = 0s;
  shown.found.completed = 0;
  shown.seen.kernel[kernel_counter::listen_drops] = 1;
  const auto all = flaws_of(shown);
  REQUIRE(all.size() == 2);
  CHECK(all[0].what == flaw::overflowed_queue);
  CHECK(all[1].what == flaw::too_short);
  shown.asked.work = workload::restart;
  CHECK(flaws_of(shown).empty());
}

TEST_CASE("thresholds are of the latency, where there is one") {
  report shown = good_open_run();
  for (int i = 0; i < 1000; ++i) shown.found.latency.record(5'000'000);
  CHECK(shortfall({}, shown).empty());
  CHECK(shortfall({.most_p99 = 6ms}, shown).empty());
  CHECK(shortfall({.most_p99 = 4ms}, shown) ==
        "the 99th percentile is 5.00 ms, wanted 4.00 ms at most");
  CHECK(shortfall({.most_p99 = 4ms}, good_run()).empty());
  CHECK(shortfall({.most_p99 = 99us}, good_run()) ==
        "the 99th percentile is 100 us, wanted 99.0 us at most");
  CHECK(shortfall({.least_rate = 1000}, shown).empty());
  CHECK(shortfall({.least_rate = 1001}, shown) == "1000 per second, wanted 1001 at least");
}

TEST_CASE("a restart is to lose nobody") {
  report shown = good_open_run();
  shown.command = "restart it";
  CHECK(shortfall({}, shown) == "the command has failed");
  shown.runs = {{.at = 5s, .took = 1s, .exit_code = 0}};
  CHECK(shortfall({}, shown).empty());
  shown.runs.push_back({.at = 5s, .took = 1s, .exit_code = 1});
  CHECK(shortfall({}, shown) == "the command has failed");
  shown.runs.pop_back();
  shown.found.unfinished = 2;
  CHECK(shortfall({}, shown) == "2 lost");
}
