// What only a ring can suffer: no room for a request, a completion queue that overflows, a listener
// that ends where there is no room to say so.
#include <hinge/loop.hpp>
#include <hinge/uring.hpp>

#include "conformance/backends.hpp"
#include "conformance/house.hpp"
#include "conformance/seam.hpp"
#include "uring_probe.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cerrno>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

/// A ring with few entries.
struct small_ring : uring_poller {
  small_ring() noexcept : uring_poller({.submissions = 32, .completions = 64}) {}
};
/// The world has no hooks of its own.
using on_small_ring = plain<small_ring, real_world>;

bool usable() { return bool(uring_verdict()); }

}  // namespace

TEST_CASE("ring: a cancel that finds no room is asked for later") {
  if (!usable()) SKIP("io_uring is refused here");
  std::uint64_t failing = 0;
  const ring_hooks hooks({}, [&](ring_call_id made, std::uint64_t) {
    return made == ring_call_id::io_uring_submit && failing > 0 && failing-- > 0 ? -EAGAIN : 0;
  });
  house<on_small_ring> at;
  for (int i = 0; i < 50; ++i) at.enter();
  at.rest();
  REQUIRE(at.running->open_connections() == 50);
  failing = GENERATE(1U, 5U);
  const std::uint64_t asked = failing;
  at.running->drain(nanoseconds(0));
  CHECK(at.until([&] { return at.running->finished(); }));
  CHECK(failing < asked);
  CHECK(hooks.violations().empty());
}

TEST_CASE("ring: a full table and an overflowing queue let those who are in be served") {
  if (!usable()) SKIP("io_uring is refused here");
  constexpr std::size_t all = 1500;
  house<on_small_ring> at(
      {.data = [](connection c, std::span<std::byte> bytes) { c.finish(bytes); }},
      {.max_connections = 16, .accepts_per_turn = 1});
  for (std::size_t i = 0; i < all; ++i) at.connect();
  at.rest(40);
  for (const auto& one : at.peers) one->send("x");
  CHECK(at.until([&] { return at.closed(close_cause::local_close) == all; }, 20'000));
}

TEST_CASE("ring: a listener that ends stays within a turn's room") {
  if (!usable()) SKIP("io_uring is refused here");
  seam<plain<uring_accepts_one, uring_world>> at;
  std::vector<std::unique_ptr<client>> waiting;
  std::vector<change> receives;
  std::vector<accepted_connection> all;
  for (int i = 0; i < 12; ++i) all.push_back(at.connect());
  for (const auto& one : all) receives.push_back(one.receive());
  at.turn(receives, 64, 16, false);
  for (const auto& one : all) one.peer->send("x");
  waiting.push_back(at.where.connect(at.door.local()));
  // No room for accepts, and for two events besides the answer: turn() checks that.
  for (int i = 0; i < 20; ++i)
    at.turn(i == 0 ? std::vector{on_listener(at.door, operation::detach)} : std::vector<change>{},
            3, 0);
  CHECK(at.count(token(role::listener, 0, 0), event_kind::detached) == 1);
}
