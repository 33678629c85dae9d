// What is shown of a load: figures and units, and the cases that a run seldom has.
#include "report.hpp"

#include "report_json.hpp"
#include "report_table.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

using namespace hinge::bench;
using namespace std::chrono_literals;

namespace {

report example() {
  report shown;
  shown.asked.target = hinge::address::loopback(7000);
  shown.asked.threads = 2;
  shown.found.elapsed = 2s;
  shown.found.client.ran = 3s;
  shown.found.completed = 1000;
  for (int i = 1; i <= 1000; ++i) shown.found.service.record(i * 1000);
  return shown;
}

nlohmann::json json_of(const report& shown, const std::vector<finding>& flaws = {}) {
  return nlohmann::json::parse(to_json(shown, flaws));
}

std::string table_of(const report& shown) { return to_table(shown, {}); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("times have three digits and a unit that suits them") {
  CHECK(short_time(0) == "0 ns");
  CHECK(short_time(812) == "812 ns");
  CHECK(short_time(999.4) == "999 ns");
  CHECK(short_time(999.6) == "1.00 us");
  CHECK(short_time(41'260) == "41.3 us");
  CHECK(short_time(99'960) == "100 us");
  CHECK(short_time(2e9) == "2.00 s");
  CHECK(short_time(3.6e12) == "3600 s");
}

TEST_CASE("rates and shares") {
  const auto all = json_of(example());
  const auto& json = all["figures"];
  CHECK(json["per_second"] == 500);
  CHECK(json["client_cpu_share"] == 0.75);
  CHECK(json["service_ns"]["p50"] == example().found.service.percentile(50));
  CHECK(json["service_ns"]["p99.99"] == example().found.service.percentile(99.99));
  const auto& curve = json["service_ns"]["curve"];
  CHECK(curve.front() == nlohmann::json{0, 1000, 1});
  CHECK(curve.back() == nlohmann::json{100, example().found.service.max(), 1000});
  CHECK(json["latency_ns"].is_null());
  CHECK(all["asked"]["loop"] == "closed");
  CHECK(json["other_errno"].is_null());
  CHECK(json["server_cpu_share"].is_null());
  CHECK(all["asked"]["backend"].is_null());
  CHECK(all["restart"].is_null());
  const std::string table = table_of(example());
  CHECK(contains(table, "accept 127.0.0.1:7000, 64 connections, 64 bytes each way, 2.00 s\n"));
  CHECK(contains(table, "1000 (500 per second)"));
  CHECK(contains(table, "errors           none"));
  CHECK(contains(table, "75 % of 2 threads"));
  CHECK_FALSE(contains(table, "unfinished"));
}

TEST_CASE("an open loop has its rate, and both times") {
  report shown = example();
  shown.asked.rate = 500;
  shown.asked.arrivals = arrival_kind::poisson;
  CHECK_FALSE(contains(table_of(shown), "latency"));
  for (int i = 1; i <= 1000; ++i) shown.found.latency.record(i * 5000);
  const auto all = json_of(shown);
  CHECK(all["asked"]["loop"] == "open");
  CHECK(all["asked"]["rate"] == 500);
  CHECK(all["asked"]["arrivals"] == "poisson");
  const auto& json = all["figures"];
  CHECK(json["latency_ns"]["p50"] == shown.found.latency.percentile(50));
  const std::string table = table_of(shown);
  CHECK(contains(table, ", 500 per second (poisson) on at most 64 connections, "));
  CHECK(contains(table, "  service            1.00 us   501 us   500 us"));
  CHECK(contains(table, "  latency            5.00 us  2.50 ms  2.50 ms"));
}

TEST_CASE("a server in the same process is told by its backend") {
  report shown = example();
  shown.backend = "uring";
  CHECK(json_of(shown)["asked"]["backend"] == "uring");
  CHECK(contains(table_of(shown), "accept 127.0.0.1:7000 (here, on uring), 64 connections, "));
}

TEST_CASE("nothing measured is 0 and null, not a division by zero") {
  report shown;
  shown.asked.target = hinge::address::loopback(7000);
  const auto all = json_of(shown);
  const auto& json = all["figures"];
  CHECK(json["per_second"] == 0);
  CHECK(json["client_cpu_share"] == 0);
  CHECK(json["service_ns"].is_null());
  shown.found.errors_before[static_cast<std::size_t>(error_kind::refused)] = 16;
  const std::string table = table_of(shown);
  CHECK(contains(table, "measured         nothing\n"));
  CHECK(contains(table, "16 refused while connecting and warming up"));
  for (const char* figure : {"service", "errors", "completed", "CPU"})
    CHECK_FALSE(contains(table, figure));
}

TEST_CASE("errors are told by kind, an unknown one by its errno") {
  report shown = example();
  shown.found.errors[static_cast<std::size_t>(error_kind::reset)] = 3;
  shown.found.errors_before[static_cast<std::size_t>(error_kind::other)] = 2;
  shown.found.other_errno = ENETRESET;
  const auto json = json_of(shown)["figures"];
  CHECK(json["errors"]["reset"] == 3);
  CHECK(json["errors"]["other"] == 0);
  CHECK(json["errors_before"]["other"] == 2);
  CHECK(json["other_errno"] == "ENETRESET");
  const std::string table = table_of(shown);
  CHECK(contains(table, "errors           3 reset\n"));
  CHECK(contains(table, "2 other (ENETRESET) while connecting and warming up"));
}

TEST_CASE("figures that aren't valid stand under another name") {
  const std::vector<finding> flaws = {{flaw::too_short, "0.10 s measured, 1 s at least"}};
  const auto all = json_of(example(), flaws);
  CHECK(all["verdict"]["valid"] == false);
  CHECK(all["verdict"]["flaws"][0]["kind"] == "too short");
  CHECK(all["figures"].is_null());
  CHECK(all["void_figures"]["per_second"] == 500);
  const std::string table = to_table(example(), flaws);
  CHECK(contains(table, "INVALID          too short: 0.10 s measured, 1 s at least\n"));
  CHECK(contains(table, "void completed   1000"));
  CHECK(contains(table, "void service "));
  CHECK_FALSE(contains(table, "  completed "));
  CHECK_FALSE(contains(table, "  service "));
}

TEST_CASE("what a server in reach has used is told per operation") {
  report shown = example();
  shown.seen.server = cpu_usage{500ms, 100ms};
  const auto json = json_of(shown)["figures"];
  CHECK(json["server_cpu_share"] == 0.25);
  CHECK(json["server_waiting_share"] == 0.05);
  CHECK(json["server_cpu_us_per_operation"] == 500);
  CHECK(contains(table_of(shown), "server CPU       25 %, 500.0 us per operation\n"));
}

TEST_CASE("what stands beside a load, and what it costs the server") {
  report shown = example();
  CHECK(json_of(shown)["figures"]["beside"].is_null());
  CHECK(json_of(shown)["figures"]["server_memory"].is_null());
  CHECK(json_of(shown)["figures"]["burst"].is_null());
  shown.asked.work = workload::idle;
  shown.asked.beside.connections = 1000;
  shown.found.beside.present = 500;
  shown.seen.server = cpu_usage{1s, 0s};
  shown.seen.memory = memory_growth{.before = 1'000'000, .prepared = 1'250'000, .end = 3'347'152};
  const auto all = json_of(shown);
  const auto& json = all["figures"];
  CHECK(json["beside"]["present"] == 500);
  CHECK(json["beside"]["server_bytes_each"] == 500);
  CHECK(json["beside"]["server_cpu_us_each_second"] == 1000);
  CHECK(json["server_memory"]["end"] == 3'347'152);
  const std::string table = table_of(shown);
  CHECK(contains(table, "500 of 1000 idle; 0 ended by the server, 0 made again"));
  CHECK(contains(table, "memory           3.19 MiB of the server's, +2.00 while it was loaded"));
  CHECK(contains(table, "memory each      500 bytes"));
  // Memory that was given back costs nobody anything.
  shown.seen.memory->prepared = 0;
  CHECK(json_of(shown)["figures"]["beside"]["server_bytes_each"] == 0);
}

TEST_CASE("a burst's rate is that of its draining") {
  report shown = example();
  shown.asked.work = workload::burst;
  shown.asked.connections = 100;
  shown.found.drains.assign(40, 10ms);
  shown.found.least_waiting = 100;
  const auto all = json_of(shown);
  const auto& json = all["figures"];
  CHECK(json["burst"]["rounds"] == 40);
  CHECK(json["burst"]["drain_ns"] == 10'000'000);
  CHECK(json["per_second_interval"][0] == 10'000);
  CHECK(contains(table_of(shown), "drained in       10.0 ms (10.0 ms to 10.0 ms)"));
}
