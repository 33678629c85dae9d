// Which rate comes next, and what is called the knee: of a server that is made up.
#include "sweep.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "sweep_report.hpp"

using namespace hinge::bench;
using namespace std::chrono_literals;

namespace {

/// Of a server that completes `capacity` a second, and takes so long.
report step_at(double rate, double capacity, std::int64_t latency_ns = 100'000) {
  report shown;
  shown.asked.target = hinge::address::loopback(7000);
  shown.asked.rate = rate;
  shown.asked.duration = 2s;
  shown.found.completed = static_cast<std::uint64_t>(2 * std::min(rate, capacity));
  shown.found.elapsed = 2s;
  for (int i = 0; i < 1000; ++i) {
    shown.found.latency.record(latency_ns);
    shown.found.service.record(latency_ns);
  }
  return shown;
}

void run_all(sweep& all, double capacity) {
  for (int i = 0; all.next(); ++i) {
    REQUIRE(i < 30);
    all.add(step_at(*all.next(), capacity), {});
  }
}

double rate_of(const sweep_step* step) { return step != nullptr ? step->shown.asked.rate : 0; }

}  // namespace

TEST_CASE("a sweep finds the knee within five percent") {
  for (const double capacity : {1100.0, 4321.0, 9999.0, 29'000.0}) {
    sweep all({1000, 30'000}, {});
    run_all(all, capacity);
    CAPTURE(capacity, rate_of(all.highest()), rate_of(all.bound()));
    CHECK(all.answered());
    // Of what is asked, 98 % are enough.
    CHECK(rate_of(all.highest()) <= capacity / 0.98 + 1);
    CHECK(rate_of(all.bound()) >= capacity / 0.98 - 1);
    CHECK(rate_of(all.bound()) <= 1.05 * rate_of(all.highest()));
    CHECK(all.steps().size() <= 14);
    CHECK(to_table(all).find("  knee: ") != std::string::npos);
  }
}

TEST_CASE("a server that follows to the end has no knee there") {
  sweep all({1000, 30'000}, {});
  run_all(all, 1e6);
  CHECK(all.steps().size() == 10);
  CHECK(rate_of(all.highest()) == 30'000);
  CHECK(all.bound() == nullptr);
  CHECK(all.answered());
  CHECK(to_table(all).find("highest: 30000 a second, p99 100 us") != std::string::npos);
}

TEST_CASE("a server that doesn't follow at all") {
  sweep all({1000, 30'000}, {});
  run_all(all, 10);
  CHECK(all.steps().size() == 1);
  CHECK(all.highest() == nullptr);
  CHECK_FALSE(all.answered());
  CHECK(all.end() == "at 1000 10 of 1000 a second are completed, 98 % at least");
}

TEST_CASE("a latency that is too long is behind, too") {
  // Ten times the first, unless another limit is given.
  sweep all({1000, 30'000}, {});
  all.add(step_at(1000, 1e6), {});
  all.add(step_at(*all.next(), 1e6, 999'000), {});
  CHECK(all.bound() == nullptr);
  all.add(step_at(*all.next(), 1e6, 1'100'000), {});
  REQUIRE(all.bound() != nullptr);
  CHECK(all.bound()->why == "its p99 is 1.10 ms, 1.00 ms at most");
  sweep limited({1000, 30'000}, 50us);
  limited.add(step_at(1000, 1e6), {});
  CHECK(limited.end() == "at 1000 its p99 is 100 us, 50.0 us at most");
}

TEST_CASE("what isn't valid is tried once more, and is no answer") {
  const std::vector<finding> noise = {{flaw::too_noisy, "it scatters"}};
  sweep all({1000, 30'000}, {});
  all.add(step_at(1000, 1e6), noise);
  REQUIRE(all.next() == 1000);
  all.add(step_at(1000, 1e6), noise);
  CHECK(all.highest() == nullptr);
  REQUIRE(all.next() > 1000);
  const std::string table = to_table(all);
  CHECK(table.find("1000  INVALID: too noisy: it scatters") != std::string::npos);
  CHECK(table.find("100 us") == std::string::npos);
  run_all(all, 5000);
  CHECK(all.answered());
  // Behind is behind, whatever else.
  sweep behind({1000, 30'000}, {});
  behind.add(step_at(1000, 10), noise);
  CHECK(behind.bound() != nullptr);
}

TEST_CASE("an overloaded server's queue overflows, and its operations don't end") {
  for (const flaw what : {flaw::overflowed_queue, flaw::unfinished}) {
    sweep all({1000, 30'000}, {});
    all.add(step_at(1000, 1e6), {{what, "of 3"}});
    REQUIRE(all.bound() != nullptr);
    CHECK(all.bound()->why == std::string(name_of(what)) + ": of 3");
  }
}

TEST_CASE("a client that isn't up to it ends a sweep without an answer") {
  const std::vector<finding> late = {{flaw::saturated_client, "late"}};
  sweep all({1000, 30'000}, {});
  all.add(step_at(1000, 1e6), {});
  while (all.next()) all.add(step_at(*all.next(), 10), late);
  CHECK(all.steps().size() == 3);
  CHECK(rate_of(all.highest()) == 1000);
  CHECK(all.bound() == nullptr);
  CHECK_FALSE(all.answered());
  CHECK(all.end() == "the client can do no more than that: saturated client: late");
}

TEST_CASE("the forms of a sweep have its steps in order") {
  sweep all({1000, 30'000}, {});
  run_all(all, 4321);
  const auto json = nlohmann::json::parse(to_json(all));
  CHECK(json["format"] == "hinge-bench-sweep/1");
  CHECK(json["highest"] == rate_of(all.highest()));
  CHECK(json["bound"] == rate_of(all.bound()));
  double before = 0;
  for (const auto& step : json["steps"]) {
    CHECK(step["report"]["asked"]["rate"] > before);
    before = step["report"]["asked"]["rate"];
    CHECK((step["outcome"] == "follows") == (before <= rate_of(all.highest())));
  }
  const std::string csv = to_csv(all);
  const auto lines = std::count(csv.begin(), csv.end(), '\n');
  CHECK(lines == static_cast<std::ptrdiff_t>(all.steps().size()) + 1);
  CHECK(to_markdown(all).find("| 1000 | 1000 | 100 us |") != std::string::npos);
}
