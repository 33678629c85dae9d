// Schedules: exact where they are constant, of the right mean and scatter where they are random.
#include "arrivals.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <vector>

using namespace hinge::bench;

namespace {

constexpr hinge::instant arrivals_begin = 5'000'000'000;
constexpr hinge::instant one_second = 1'000'000'000;

std::vector<double> distances(arrivals& schedule) {
  std::vector<double> all;
  hinge::instant before = schedule.take();
  while (schedule.next() != arrivals::never) {
    const hinge::instant one = schedule.take();
    all.push_back(static_cast<double>(one - before));
    before = one;
  }
  return all;
}

}  // namespace

TEST_CASE("a constant schedule neither drifts nor loses any") {
  arrivals schedule(arrival_kind::constant, 3'000'000, 0, 1);  // 333.3 ns
  CHECK(schedule.next() == arrivals::never);
  schedule.start(arrivals_begin);
  CHECK(schedule.next() == arrivals_begin);
  schedule.end(arrivals_begin + one_second);
  CHECK(schedule.take_all(arrivals_begin + one_second / 2) == 1'500'001);
  CHECK(schedule.take_all(arrivals::never - 1) == 1'499'999);
  CHECK(schedule.next() == arrivals::never);
}

TEST_CASE("threads share a schedule without beginning together") {
  for (int index = 0; index < 4; ++index) {
    arrivals schedule(arrival_kind::constant, 1000, index / 4.0, 1);
    schedule.start(arrivals_begin);
    CHECK(schedule.next() == arrivals_begin + index * 250'000);
    schedule.end(arrivals_begin + one_second);
    CHECK(schedule.take_all(arrivals::never - 1) == 1000);
  }
}

TEST_CASE("poisson arrivals have the rate, exponential distances, and repeat by their seed") {
  arrivals schedule(arrival_kind::poisson, 100'000, 0, 7);
  schedule.start(arrivals_begin);
  CHECK(schedule.next() > arrivals_begin);
  schedule.end(arrivals_begin + one_second);
  const std::vector<double> gaps = distances(schedule);
  double sum = 0;
  double squares = 0;
  for (const double gap : gaps) sum += gap;
  const double mean = sum / static_cast<double>(gaps.size());
  for (const double gap : gaps) squares += (gap - mean) * (gap - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(gaps.size()));
  CHECK(std::abs(mean - 10'000) < 200);
  // The mean of an exponential distribution is its deviation, too.
  CHECK(std::abs(deviation - 10'000) < 300);
  arrivals again(arrival_kind::poisson, 100'000, 0, 7);
  again.start(arrivals_begin);
  again.end(arrivals_begin + one_second);
  CHECK(distances(again) == gaps);
}
