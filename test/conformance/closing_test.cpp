// A listener that is closed while the loop goes on, and those who wait in its queue.
#include "conformance/house.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>

using namespace hinge;
using namespace hinge::test;
using namespace std::chrono_literals;

namespace {

bool closed_door(house& at, std::size_t index = 0) {
  return at.base().door_at(index).state() == door_state::dead;
}

}  // namespace

HINGE_TEST_CASE("closing: who waits in the queue is served first", backends) {
  house at(backend, {.data = echo});
  for (int i = 0; i < 20; ++i) at.connect();
  at.base().close_listener(0, door_exit::when_empty);
  REQUIRE(at.until([&] { return closed_door(at); }));
  CHECK(at.counters().accepted == 20);
  CHECK(at.counters().shed == 0);
  for (const auto& one : at.peers) one->send("x");
  CHECK(at.until([&] {
    return std::ranges::all_of(at.peers, [](const auto& one) { return one->received() == "x"; });
  }));
  CHECK(at.where.connect(at.base().listener_at(0).local()) == nullptr);
}

HINGE_TEST_CASE("closing: there has to be room for those who wait", backends) {
  house at(backend, {}, {.max_connections = 4});
  for (int i = 0; i < 20; ++i) at.connect();
  at.rest();
  at.base().close_listener(0, door_exit::when_empty);
  for (std::size_t i = 0; i < 16; ++i) {
    at.rest(2);
    CHECK_FALSE(closed_door(at));
    REQUIRE(at.until([&] { return at.notes().all.size() > i; }));
    CHECK(at.handle(i).close());
  }
  REQUIRE(at.until([&] { return at.counters().accepted == 20; }));
  // To find nobody takes room, too, where the system doesn't tell how many wait.
  if (!closed_door(at)) CHECK(at.handle(16).close());
  REQUIRE(at.until([&] { return closed_door(at); }));
  CHECK(at.counters().shed == 0);
}

HINGE_TEST_CASE("closing: a loop that winds down makes room for those who wait", backends) {
  house at(backend, {.drain = [](connection c) { c.close(); }}, {.max_connections = 4});
  for (int i = 0; i < 8; ++i) at.connect();
  REQUIRE(at.until([&] { return at.notes().all.size() == 4; }));
  at.base().close_listener(0, door_exit::when_empty);
  at.rest();
  CHECK_FALSE(at.base().winding_down());
  at.running->wind_down();
  CHECK(at.base().winding_down());
  REQUIRE(at.until([&] { return at.counters().accepted == 8; }));
  CHECK(at.base().open_connections() == 4);
  // Those who came later weren't told; a drain tells them.
  CHECK_FALSE(at.about(4).draining);
  at.running->drain(1h);
  CHECK(at.about(4).draining);
  CHECK(at.until([&] { return at.base().finished(); }, 50));
  CHECK(at.counters().shed == 0);
  for (const heard& each : at.notes().all) CHECK(each.cause == close_cause::local_close);
}

HINGE_TEST_CASE("closing: without descriptors it waits, and doesn't spin", backends) {
  house at(backend);
  at.enter();
  for (int i = 0; i < 3; ++i) at.connect();
  at.where.exhaust_descriptors();
  at.base().close_listener(0, door_exit::when_empty);
  const std::uint64_t before = at.where.accepts();
  const instant start = at.base().now();
  REQUIRE(at.until([&] { return at.base().now() - start > 300'000'000; }));
  CHECK(at.where.accepts() - before <= 8);
  CHECK_FALSE(closed_door(at));
  at.where.restore_descriptors();
  REQUIRE(at.until([&] { return closed_door(at); }));
  CHECK(at.counters().accepted == 4);
}

HINGE_TEST_CASE("closing: other listeners go on", backends) {
  house at(backend, {}, {}, 2);
  at.connect(0);
  at.base().close_listener(0, door_exit::when_empty);
  REQUIRE(at.until([&] { return closed_door(at); }));
  at.enter(1);
  at.connect(1);
  CHECK(at.until([&] { return at.counters().accepted == 3; }));
}

HINGE_TEST_CASE("closing: a loop that is stopped meanwhile ends, and each one is counted",
                backends) {
  house at(backend, {}, {.max_connections = 4});
  for (int i = 0; i < 20; ++i) at.connect();
  at.rest();
  at.base().close_listener(0, door_exit::when_empty);
  at.rest(2);
  CHECK_FALSE(closed_door(at));
  at.base().stop();
  CHECK(at.until([&] { return at.base().finished(); }));
  CHECK(closed_door(at));
  CHECK(at.counters().accepted == 4 + at.counters().shed);
}

HINGE_TEST_CASE("closing: at once, who waits is reset, and the loop goes on", backends) {
  house at(backend, {}, {.max_connections = 2});
  for (int i = 0; i < 5; ++i) at.connect();
  at.rest();
  at.base().close_listener(0, door_exit::at_once);
  for (std::size_t i = 0; !closed_door(at); ++i) {
    REQUIRE(i < 5);
    at.rest(2);
    // What a ring has accepted already isn't dropped.
    if (!closed_door(at)) CHECK(at.handle(i).close());
  }
  CHECK(at.counters().accepted <= 5);
  CHECK(at.counters().shed == 0);
  CHECK_FALSE(at.base().stopping());
}
