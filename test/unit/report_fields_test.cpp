// Lines for tables of many runs: the same columns always, and nothing that ends a cell too early.
#include "report_fields.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

using namespace hinge::bench;
using namespace std::chrono_literals;

namespace {

report run_of_fields() {
  report shown;
  shown.asked.target = hinge::address::loopback(7000);
  shown.found.elapsed = 2s;
  shown.found.completed = 1000;
  for (int i = 1; i <= 1000; ++i) shown.found.service.record(i * 1000);
  return shown;
}

std::string value_of(const report_fields& fields, const std::string& wanted) {
  for (const auto& [name, value] : fields) {
    if (name == wanted) return value;
  }
  return "missing";
}

}  // namespace

TEST_CASE("what isn't valid has a reason and no figure") {
  const report_fields good = fields_of(run_of_fields(), {});
  CHECK(value_of(good, "verdict") == "valid");
  CHECK(value_of(good, "per_second") == "500.0");
  CHECK(value_of(good, "service_p50_us") == "500.2");
  CHECK(value_of(good, "latency_p50_us").empty());
  const report_fields bad =
      fields_of(run_of_fields(), {{flaw::throttled, "a"}, {flaw::too_short, "b"}});
  CHECK(value_of(bad, "verdict") == "throttled: a; too short: b");
  for (const char* figure : {"completed", "per_second", "service_p50_us", "client_cpu_share"})
    CHECK(value_of(bad, figure).empty());
  REQUIRE(good.size() == bad.size());
  for (std::size_t i = 0; i < good.size(); ++i) CHECK(good[i].first == bad[i].first);
}

TEST_CASE("cells keep to themselves") {
  const report_fields fields = {{"a", "1,2"}, {"b", "say \"x\""}, {"c", ""}, {"d", "x|y"}};
  CHECK(to_csv(fields) == "a,b,c,d\n\"1,2\",\"say \"\"x\"\"\",,x|y\n");
  CHECK(to_markdown(fields) == "| | |\n|---|---|\n| a | 1,2 |\n| b | say \"x\" |\n| d | x\\|y |\n");
}
