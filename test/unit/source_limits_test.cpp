// Limits of sources, and of the networks that they are in.
#include <hinge/source_limits.hpp>

#include <catch2/catch_test_macros.hpp>

#include "support/inet_name.hpp"

using hinge::instant;
using hinge::source_limits;
using hinge::source_options;
using hinge::test::inet_name_of;
using limits_verdict = hinge::source_limits::verdict;

namespace {

constexpr source_options of_network(source_options what) {
  what.ipv4_prefix = 24;
  what.ipv6_prefix = 48;
  return what;
}

}  // namespace

TEST_CASE("without limits nobody is looked for") {
  source_limits limits;
  CHECK_FALSE(limits.any());
  REQUIRE(limits.open({}, {}, 10));
  CHECK_FALSE(limits.any());
  CHECK(limits.enter(inet_name_of("10.0.0.1:1"), 0) == limits_verdict::admitted);
  limits.leave(inet_name_of("10.0.0.1:1"));
}

TEST_CASE("a source has its limit, and so has its network") {
  source_limits limits;
  REQUIRE(limits.open({.max_connections = 2}, of_network({.max_connections = 3}), 10));
  CHECK(limits.any());
  const auto enter = [&](const char* text) { return limits.enter(inet_name_of(text), 0); };
  CHECK(enter("10.0.0.1:1") == limits_verdict::admitted);
  CHECK(enter("10.0.0.1:2") == limits_verdict::admitted);
  CHECK(enter("10.0.0.1:3") == limits_verdict::source_full);
  CHECK(enter("10.0.0.2:1") == limits_verdict::admitted);
  CHECK(enter("10.0.0.2:2") == limits_verdict::network_full);
  CHECK(enter("10.0.1.1:1") == limits_verdict::admitted);
  // Whoever leaves makes room in both; who was turned away by one is counted by none.
  limits.leave(inet_name_of("10.0.0.1:1"));
  CHECK(enter("10.0.0.2:3") == limits_verdict::admitted);
  CHECK(enter("10.0.0.3:1") == limits_verdict::network_full);
  CHECK(enter("[2001:db8:0:1::1]:1") == limits_verdict::admitted);
  CHECK(enter("[2001:db8:0:2::1]:1") == limits_verdict::admitted);
  CHECK(enter("[2001:db8:0:3::1]:1") == limits_verdict::admitted);
  CHECK(enter("[2001:db8:0:4::1]:1") == limits_verdict::network_full);
  CHECK(enter("[2001:db8:1:4::1]:1") == limits_verdict::admitted);
}

TEST_CASE("each has its rate") {
  source_limits limits;
  REQUIRE(limits.open({.new_connections = {.per_second = 1, .burst = 2}},
                      of_network({.new_connections = {.per_second = 1, .burst = 3}}), 10));
  const auto visit = [&](const char* text, instant now) {
    const limits_verdict found = limits.enter(inet_name_of(text), now);
    if (found == limits_verdict::admitted) limits.leave(inet_name_of(text));
    return found;
  };
  constexpr instant second = 1'000'000'000;
  CHECK(visit("10.0.0.1:1", second) == limits_verdict::admitted);
  CHECK(visit("10.0.0.1:2", second) == limits_verdict::admitted);
  CHECK(visit("10.0.0.1:3", second) == limits_verdict::source_rate);
  CHECK(visit("10.0.0.2:1", second) == limits_verdict::admitted);
  for (int i = 0; i < 5; ++i) CHECK(visit("10.0.0.3:1", second) == limits_verdict::network_rate);
  // None of these was counted against the source.
  CHECK(visit("10.0.0.3:1", 2 * second) == limits_verdict::admitted);
  CHECK(visit("10.0.0.3:1", 3 * second) == limits_verdict::admitted);
}

TEST_CASE("a network may be limited alone") {
  source_limits limits;
  REQUIRE(limits.open({}, of_network({.max_connections = 1}), 10));
  CHECK(limits.enter(inet_name_of("10.0.0.1:1"), 0) == limits_verdict::admitted);
  CHECK(limits.enter(inet_name_of("10.0.0.9:1"), 0) == limits_verdict::network_full);
  limits.leave(inet_name_of("10.0.0.1:1"));
  CHECK(limits.enter(inet_name_of("10.0.0.9:1"), 0) == limits_verdict::admitted);
}
