#include <hinge/time.hpp>

#include <catch2/catch_test_macros.hpp>

#include <time.h>

#include <cstdint>
#include <limits>

using hinge::deadline;
using hinge::instant;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {
constexpr instant noon = 1'000'000'000;
constexpr instant longest = std::numeric_limits<instant>::max();
}  // namespace

TEST_CASE("now is CLOCK_MONOTONIC and never goes back") {
  const instant first = hinge::now();
  timespec read{};
  REQUIRE(clock_gettime(CLOCK_MONOTONIC, &read) == 0);
  const instant second = instant{read.tv_sec} * 1'000'000'000 + read.tv_nsec;
  const instant third = hinge::now();
  CHECK(first <= second);
  CHECK(second <= third);
}

TEST_CASE("a deadline is rounded up to milliseconds, so that no wait is cut to a spin") {
  CHECK(deadline::after(noon, nanoseconds(1)).milliseconds_from(noon) == 1);
  CHECK(deadline::after(noon, nanoseconds(999'999)).milliseconds_from(noon) == 1);
  CHECK(deadline::after(noon, milliseconds(1)).milliseconds_from(noon) == 1);
  CHECK(deadline::after(noon, nanoseconds(1'000'001)).milliseconds_from(noon) == 2);
  CHECK(deadline::after(noon, milliseconds(250)).milliseconds_from(noon) == 250);
}

TEST_CASE("a deadline that has passed waits 0 ms") {
  CHECK(deadline::at(noon).milliseconds_from(noon) == 0);
  CHECK(deadline::at(noon).milliseconds_from(noon + 1) == 0);
  CHECK(deadline::at(noon).milliseconds_from(noon - 1) == 1);
  CHECK(deadline::immediately().milliseconds_from(noon) == 0);
  CHECK(deadline::at(noon).passed(noon));
  CHECK_FALSE(deadline::at(noon).passed(noon - 1));
}

TEST_CASE("never waits without a limit") {
  CHECK(deadline::never().is_never());
  CHECK(deadline::never().milliseconds_from(noon) == -1);
  CHECK_FALSE(deadline::never().passed(longest - 1));
  CHECK_FALSE(deadline::never().is_immediate());
  CHECK(deadline::immediately().is_immediate());
}

TEST_CASE("a wait too long for the clock is never, one too long for int is the longest int") {
  CHECK(deadline::after(noon, nanoseconds::max()).is_never());
  CHECK(deadline::after(longest - 1, nanoseconds(2)).is_never());
  CHECK(deadline::after(longest - 2, nanoseconds(1)).when() == longest - 1);
  CHECK(deadline::after(noon, hours(24 * 365)).milliseconds_from(noon) ==
        std::numeric_limits<int>::max());
}

TEST_CASE("deadlines are ordered by time") {
  CHECK(deadline::immediately() < deadline::at(noon));
  CHECK(deadline::at(noon) < deadline::after(noon, nanoseconds(1)));
  CHECK(deadline::at(longest - 1) < deadline::never());
  CHECK(deadline::at(noon) == deadline::after(noon, nanoseconds(0)));
}
