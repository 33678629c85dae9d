#include <catch2/catch_test_macros.hpp>

#include <stdexcept>
#include <string>

#include "baseline.hpp"
#include "comparison_report.hpp"

namespace {

using namespace hinge::bench;

/// "b" takes `ratio` of what "a" takes, within a tenth each way; and `calls` system calls.
comparison_report comparison_of(double ratio, double calls) {
  comparison_report all;
  all.asked.names = {"a", "b"};
  comparison one;
  one.way = "one process";
  one.rounds = 60;
  one.figures = {"server CPU us"};
  const auto figure = [](double of) {
    return std::vector{compared_figure{10 * of, {of, of * 0.9, of * 1.1}}};
  };
  one.found = {figure(1), figure(ratio), figure(1)};
  counts counted;
  counted[0].each = 3;
  one.counted = {counted, counted};
  one.counted[1][0].each = calls;
  one.counted[1][1].missing = "needs valgrind";
  all.found = {one};
  return all;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a comparison is a table with the reference's own ratio") {
  const std::string table = to_table(comparison_of(0.8, 2));
  CHECK(has(table, "8.00  0.800  0.720 .. 0.880"));
  CHECK(has(table, "10.00  1.000"));
  CHECK(has(table, "not counted of b: user_instructions: needs valgrind"));
}

TEST_CASE("figures that aren't valid are no plain numbers") {
  comparison_report shown = comparison_of(0.8, 2);
  shown.found[0].flaws.push_back({flaw::too_noisy, "because"});
  CHECK(has(to_table(shown), "INVALID, the figures are void: too noisy: because"));
  CHECK_FALSE(has(to_markdown(shown), "0.800"));
  CHECK_FALSE(has(to_csv(shown), "0.8000"));
  CHECK(has(to_csv(shown), "too noisy: because,system_calls,2.00"));
  CHECK(has(to_json(shown), "\"figures\": null"));
  CHECK_FALSE(shown.valid());
}

TEST_CASE("worse than the baseline is a ratio beyond its interval, or a count that is more") {
  const std::string baseline = to_json(comparison_of(0.8, 2));
  CHECK(regressions(baseline, comparison_of(0.8, 2)).empty());
  CHECK(regressions(baseline, comparison_of(0.9, 2)).empty());  // from 0.81, and it was up to 0.88
  CHECK(regressions(baseline, comparison_of(0.5, 1)).empty());
  const auto slower = regressions(baseline, comparison_of(1, 2));
  REQUIRE(slower.size() == 1);
  CHECK(slower[0] == "ac, b, server CPU us: the ratio is 0.900 .. 1.100, and was 0.880 at most");
  const auto more = regressions(baseline, comparison_of(0.8, 3));
  REQUIRE(more.size() == 1);
  CHECK(more[0] == "ac, b, system_calls: 3.00, and was 2.00");
}

TEST_CASE("void figures are held against nothing") {
  comparison_report slower = comparison_of(1, 2);
  slower.found[0].flaws.push_back({flaw::too_noisy, "because"});
  CHECK(regressions(to_json(comparison_of(0.8, 2)), slower).empty());
  CHECK(regressions(to_json(slower), comparison_of(2, 2)).empty());
}

TEST_CASE("a baseline has to be of the same comparison") {
  const comparison_report now = comparison_of(0.8, 2);
  CHECK_THROWS_AS(regressions("{", now), std::runtime_error);
  CHECK_THROWS_AS(regressions("{}", now), std::runtime_error);
  comparison_report other = now;
  other.asked.names = {"c", "b"};
  CHECK_THROWS_AS(regressions(to_json(other), now), std::runtime_error);
  other.asked.names = {"a", "c"};
  other.found[0].counted.resize(0);
  CHECK_THROWS_AS(regressions(to_json(other), now), std::runtime_error);
}
