#include <catch2/catch_test_macros.hpp>

#include <set>

#include "rounds.hpp"

namespace {

using hinge::bench::rounds;

}  // namespace

TEST_CASE("a round runs everybody once, and the reference twice") {
  std::vector<std::size_t> ran;
  rounds all(3, 1, [&ran](std::size_t who) {
    ran.push_back(who);
    return std::vector<double>{1};
  });
  all.one();
  CHECK(std::multiset<std::size_t>(ran.begin(), ran.end()) ==
        std::multiset<std::size_t>{0, 1, 2, 3});
  CHECK(all.done() == 1);
}

TEST_CASE("rounds are in random order") {
  std::set<std::size_t> first;
  std::size_t runs = 0;
  rounds all(2, 1, [&](std::size_t who) {
    if (runs++ % 3 == 0) first.insert(who);
    return std::vector<double>{1};
  });
  for (int i = 0; i < 20; ++i) all.one();
  CHECK(first == std::set<std::size_t>{0, 1, 2});
}

TEST_CASE("what disturbs a whole round isn't in its ratios") {
  double disturbance = 1;
  rounds all(2, 1, [&](std::size_t who) {
    return std::vector<double>{disturbance * (who == 1 ? 3.0 : 2.0), who == 1 ? 1.0 : 4.0};
  });
  all.warm_up();
  for (int i = 0; i < 20; ++i) {
    disturbance += 1;
    all.one();
  }
  CHECK(all.done() == 20);
  const hinge::bench::interval ratio = all.ratio(1, 0);
  CHECK(ratio.median == 1.5);
  CHECK((ratio.low == 1.5 && ratio.high == 1.5));
  CHECK(all.ratio(2, 0).median == 1);  // the control
  CHECK(all.ratio(1, 1).median == 0.25);
  CHECK(all.median(0, 1) == 4);
}

TEST_CASE("before the first round there is nothing") {
  const rounds none(2, 1, [](std::size_t) { return std::vector<double>{1}; });
  CHECK(none.done() == 0);
  CHECK(none.ratio(1, 0).median == 0);
}
