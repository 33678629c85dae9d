// What one source may take, and what is remembered of whom.
#include <hinge/source_table.hpp>

#include <catch2/catch_test_macros.hpp>

#include "support/inet_name.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>

using hinge::inet_name;
using hinge::instant;
using hinge::rate;
using hinge::rate_limit;
using hinge::source_options;
using hinge::source_table;
using hinge::test::inet_name_of;
using verdict = hinge::source_table::verdict;

namespace {

constexpr instant one_second = 1'000'000'000;

inet_name host(std::uint32_t number) {
  inet_name made{.family = hinge::family::ipv4};
  for (unsigned i = 0; i < 4; ++i) made.ip[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return made;
}

}  // namespace

TEST_CASE("a rate limit lets a burst through, and then so many a second") {
  const rate_limit limit(rate{.per_second = 10, .burst = 3});
  instant full_at = 0;
  instant now = 100 * one_second;
  for (int i = 0; i < 3; ++i) CHECK(limit.take(now, full_at));
  CHECK_FALSE(limit.take(now, full_at));
  now += one_second / 10;
  CHECK(limit.take(now, full_at));
  CHECK_FALSE(limit.take(now, full_at));
  now += 10 * one_second;
  for (int i = 0; i < 3; ++i) CHECK(limit.take(now, full_at));
  CHECK_FALSE(limit.take(now, full_at));
}

TEST_CASE("a rate limit in the long run") {
  const rate_limit limit(rate{.per_second = 100});
  instant full_at = 0;
  int taken = 0;
  for (instant now = 0; now < 10 * one_second; now += one_second / 1000)
    taken += limit.take(now, full_at);
  CHECK(taken >= 1000 + 99);  // a second's worth at the start
  CHECK(taken <= 1000 + 101);
}

TEST_CASE("no rate is no limit") {
  const rate_limit none;
  instant full_at = 0;
  CHECK_FALSE(none.limits());
  for (int i = 0; i < 1000; ++i) CHECK(none.take(0, full_at));
  full_at = 5 * one_second;  // of a rate that has been
  CHECK(none.take(one_second, full_at));
}

TEST_CASE("connections of a source, and of a prefix") {
  source_table limits;
  REQUIRE(limits.open({.max_connections = 2}, 100));
  const auto enter = [&](const char* text) { return limits.enter(inet_name_of(text), 0); };
  SECTION("an IPv4 address, by whatever way") {
    CHECK(enter("10.0.0.1:1") == verdict::admitted);
    CHECK(enter("[::ffff:10.0.0.1]:2") == verdict::admitted);
    CHECK(enter("10.0.0.1:3") == verdict::too_many);
    CHECK(enter("10.0.0.2:1") == verdict::admitted);
    CHECK(limits.connections_of(inet_name_of("10.0.0.1:9")) == 2);
    limits.leave(inet_name_of("10.0.0.1:2"));
    CHECK(enter("10.0.0.1:4") == verdict::admitted);
  }
  SECTION("a /64 of IPv6") {
    CHECK(enter("[2001:db8::1]:1") == verdict::admitted);
    CHECK(enter("[2001:db8::ffff:ffff:ffff:ffff]:1") == verdict::admitted);
    CHECK(enter("[2001:db8::2]:1") == verdict::too_many);
    CHECK(enter("[2001:db8:0:1::2]:1") == verdict::admitted);
  }
  SECTION("Unix sockets have none") {
    for (int i = 0; i < 5; ++i)
      CHECK(limits.enter({.family = hinge::family::unix_unnamed}, 0) == verdict::admitted);
    CHECK(limits.size() == 0);
  }
}

TEST_CASE("other prefixes") {
  source_table limits;
  REQUIRE(limits.open({.max_connections = 1, .ipv4_prefix = 24, .ipv6_prefix = 48}, 100));
  CHECK(limits.enter(inet_name_of("10.0.0.1:1"), 0) == verdict::admitted);
  CHECK(limits.enter(inet_name_of("10.0.0.255:1"), 0) == verdict::too_many);
  CHECK(limits.enter(inet_name_of("10.0.1.0:1"), 0) == verdict::admitted);
  CHECK(limits.enter(inet_name_of("[2001:db8::1]:1"), 0) == verdict::admitted);
  CHECK(limits.enter(inet_name_of("[2001:db8:0:1::1]:1"), 0) == verdict::too_many);
  CHECK(limits.open({.ipv4_prefix = 33}, 1).error().argument() == "ipv4_prefix");
  CHECK(limits.open({.ipv6_prefix = 129}, 1).error().argument() == "ipv6_prefix");
}

TEST_CASE("new connections of a source a second") {
  source_table limits;
  REQUIRE(limits.open({.new_connections = {.per_second = 10, .burst = 2}}, 100));
  const inet_name one = host(1);
  CHECK(limits.enter(one, one_second) == verdict::admitted);
  limits.leave(one);
  CHECK(limits.enter(one, one_second) == verdict::admitted);
  CHECK(limits.enter(one, one_second) == verdict::too_fast);
  CHECK(limits.enter(host(2), one_second) == verdict::admitted);
  CHECK(limits.enter(one, one_second + one_second / 10) == verdict::admitted);
  CHECK(limits.connections_of(one) == 2);
}

TEST_CASE("who is withdrawn has not come") {
  source_table limits;
  REQUIRE(limits.open({.max_connections = 1, .new_connections = {.per_second = 1, .burst = 2}}, 9));
  const inet_name one = host(1);
  for (int i = 0; i < 5; ++i) {
    CHECK(limits.enter(one, one_second) == verdict::admitted);
    limits.withdraw(one);
  }
  CHECK(limits.connections_of(one) == 0);
  for (int i = 0; i < 2; ++i) {
    CHECK(limits.enter(one, one_second) == verdict::admitted);
    limits.leave(one);
  }
  CHECK(limits.enter(one, one_second) == verdict::too_fast);
}

TEST_CASE("more sources than there is memory for: those with a connection stay") {
  source_table limits;
  REQUIRE(limits.open({.max_connections = 1}, 50));
  for (std::uint32_t i = 0; i < 50; ++i) REQUIRE(limits.enter(host(i), 0) == verdict::admitted);
  for (std::uint32_t i = 1000; i < 100'000; ++i) {
    REQUIRE(limits.enter(host(i), 0) == verdict::admitted);
    limits.leave(host(i));
  }
  CHECK(limits.size() == 128);
  for (std::uint32_t i = 0; i < 50; ++i) CHECK(limits.enter(host(i), 0) == verdict::too_many);
}

TEST_CASE("comings and goings are counted as a map does") {
  std::mt19937 random(815);
  source_table limits;
  REQUIRE(limits.open({.max_connections = 3}, 300));
  std::map<std::uint32_t, std::uint32_t> expected;
  std::uint32_t open = 0;
  for (int step = 0; step < 200'000; ++step) {
    const std::uint32_t which = random() % 2000;
    std::uint32_t& count = expected[which];
    if (random() % 2 == 0 && open < 300) {
      const bool admitted = limits.enter(host(which), 0) == verdict::admitted;
      if (admitted != (count < 3)) FAIL("step " << step);
      count += admitted;
      open += admitted;
    } else if (count != 0) {
      limits.leave(host(which));
      --count;
      --open;
    }
    if (limits.connections_of(host(which)) != count) FAIL("step " << step);
  }
  CHECK(open > 100);
}
