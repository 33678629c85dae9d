// How long connections live.
#include "script.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <map>
#include <random>

#include "load.hpp"

using namespace hinge::bench;

TEST_CASE("a workload is a script") {
  load_options options;
  options.bytes = 7;
  options.life = {2, 9};
  for (const auto& [work, life] : std::map<workload, lifetime>{{workload::accept, {1, 1}},
                                                               {workload::crr, {1, 1}},
                                                               {workload::restart, {1, 1}},
                                                               {workload::echo, {0, 0}},
                                                               {workload::churn, {2, 9}}}) {
    options.work = work;
    CHECK(script_of(options).life == life);
    CHECK(script_of(options).request == 7);
    CHECK(script_of(options).kept() == (work == workload::echo));
  }
}

TEST_CASE("lives are of the range, and as many of each order of magnitude") {
  std::mt19937 random(1);
  const script mixed{64, {1, 999}};
  std::map<int, int> of_digits;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint32_t drawn = mixed.draw(random);
    REQUIRE(drawn >= 1);
    REQUIRE(drawn <= 999);
    ++of_digits[drawn < 10 ? 1 : drawn < 100 ? 2 : 3];
  }
  for (const int digits : {1, 2, 3}) {
    CHECK(of_digits[digits] > 9500);
    CHECK(of_digits[digits] < 10'500);
  }
  CHECK(script{64, {5, 5}}.draw(random) == 5);
  CHECK(script{64, {0, 0}}.draw(random) == 0);
}
