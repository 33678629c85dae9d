// Where values stand on an axis, and what it is labelled with.
#include "axis.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

using hinge::bench::axis;

namespace {

std::string plainly(double value) { return fmt::format("{:g}", value); }

std::vector<std::string> labels(const axis& of, bool minor_too = true) {
  std::vector<std::string> all;
  for (const auto& one : of.ticks()) {
    if (minor_too || !one.minor) all.push_back(one.label);
  }
  return all;
}

bool about(double a, double b) { return std::abs(a - b) < 1e-9; }

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a linear axis ends at labels") {
  const axis rates = axis::linear(0, 13'000, plainly);
  CHECK(labels(rates) == texts{"0", "5000", "10000", "15000"});
  CHECK(about(rates.at(0), 0));
  CHECK(about(rates.at(7500), 0.5));
  CHECK(rates.at(20'000) == 1);
  CHECK(labels(axis::linear(0.76, 1.04, plainly)) ==
        texts{"0.75", "0.8", "0.85", "0.9", "0.95", "1", "1.05"});
  CHECK(axis::linear(1, 1, plainly).at(1) == 0);
}

TEST_CASE("a logarithmic axis is labelled at 1, 2 and 5 of each power of ten") {
  const axis times = axis::logarithmic(73, 1900, plainly);
  CHECK(labels(times) == texts{"50", "100", "200", "500", "1000", "2000"});
  CHECK(labels(times, false) == texts{"100", "1000"});
  CHECK(about(times.at(50), 0));
  CHECK(about(times.at(2000), 1));
  CHECK(about(times.at(500) - times.at(200), times.at(1000) - times.at(400)));
  CHECK(labels(axis::logarithmic(1, 1e6, plainly)).size() == 7);
  CHECK(labels(axis::logarithmic(5, 5, plainly)) == texts{"5", "10", "20", "50"});
}

TEST_CASE("nines stand in equal distances") {
  const axis levels = axis::percentiles(10'000);
  CHECK(labels(levels) == texts{"0", "50", "90", "99", "99.9", "99.99"});
  CHECK(about(levels.at(90), 0.25));
  CHECK(about(levels.at(99), 0.5));
  CHECK(about(levels.at(99.99), 1));
  CHECK(levels.at(100) == 1);
  CHECK(labels(axis::percentiles(1)) == texts{"0", "50", "90"});
}
