// What a loop tells of itself, on every backend: the accounts, pauses, the queue, times.
#include "conformance/house.hpp"

#include <hinge/telemetry.hpp>

#include <string>

using namespace hinge;
using namespace hinge::test;

HINGE_TEST_CASE("telemetry: the accounts are exact at each moment, also within a callback",
                backends) {
  house* inside = nullptr;
  int looks = 0;
  const auto look = [&](connection) {
    if (!inside->running) return;  // it ends
    const telemetry seen(inside->base());
    CHECK(seen.counters.accepted == seen.open + seen.counters.closed_total() + seen.counters.shed);
    ++looks;
  };
  house at(backend, {.accept = look, .close = [&](connection c, close_cause) { look(c); }});
  inside = &at;
  for (int i = 0; i < 3; ++i) at.enter();
  CHECK(at.handle(1).close());
  CHECK(at.until([&] { return at.about(1).closes == 1; }));
  CHECK(looks == 4);
  const telemetry seen(at.base());
  CHECK(seen.open == 2);
  CHECK(seen.counters.accepted == 3);
  CHECK(seen.counters.turns == at.counters().turns);
}

HINGE_TEST_CASE("telemetry: a full table is a pause, and who waits is in the queue", backends) {
  house at(backend, {}, {.max_connections = 2});
  CHECK(telemetry(at.base()).listeners()[0].accepting);
  at.enter();
  at.enter();
  for (int i = 0; i < 3; ++i) at.connect();
  at.rest();
  {
    const telemetry seen(at.base());
    const listener_telemetry& door = seen.listeners()[0];
    CHECK_FALSE(door.accepting);
    CHECK(door.pauses == 1);
    CHECK(door.paused > nanoseconds(0));
    CHECK(door.waiting.has_value() == (at.base().listener_at(0).waiting().has_value()));
    if (door.waiting && !at.where.takes_ahead()) CHECK(door.waiting == 3);
    if (door.waiting) CHECK(door.most_waiting >= door.waiting);
  }
  for (std::size_t i = 0; i < 2; ++i) CHECK(at.handle(i).close());
  CHECK(at.until([&] { return at.notes().all.size() == 4; }));
  for (std::size_t i = 2; i < 4; ++i) CHECK(at.handle(i).close());
  CHECK(at.until([&] { return at.notes().all.size() == 5; }));
  at.rest();
  const telemetry seen(at.base());
  CHECK(seen.listeners()[0].accepting);
  CHECK(seen.listeners()[0].pauses >= 1);
  const nanoseconds paused = seen.listeners()[0].paused;
  at.rest();
  CHECK(telemetry(at.base()).listeners()[0].paused == paused);
}

HINGE_TEST_CASE("telemetry: queued bytes are what the peers haven't taken", backends) {
  house at(backend);
  at.enter();
  const auto slow = at.take_away(0);
  const std::string much(600 * 1024, 'x');
  CHECK(at.handle(0).send(bytes_of(much)));
  at.rest();
  const telemetry seen(at.base());
  CHECK(seen.queued_bytes > 0);
  CHECK(seen.queued_bytes == at.handle(0).queued_bytes());
  CHECK(at.until([&] {
    slow->listen_in();
    return slow->received().size() == much.size();
  }));
  at.rest();
  CHECK(telemetry(at.base()).queued_bytes == 0);
}

HINGE_TEST_CASE("telemetry: accepts are counted by listener, and time is told", backends) {
  house at(backend, {}, {.work_clock = now}, 2);
  if (at.where.has_virtual_time()) SKIP("the clock of work is the system's here");
  at.enter(0);
  at.enter(1);
  at.enter(1);
  at.rest();
  const telemetry seen(at.base());
  REQUIRE(seen.work);
  CHECK(seen.work->waiting > nanoseconds(0));
  CHECK(seen.work->working > nanoseconds(0));
  CHECK(seen.work->longest_work <= seen.work->working);
  std::uint64_t counts[] = {1, 2};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& accepts = seen.listeners()[i].accepts;
    REQUIRE(accepts);
    CHECK(accepts->accepted == counts[i]);
    CHECK(accepts->turns == counts[i]);
    CHECK(accepts->longest_lag <= accepts->lag);
  }
}

HINGE_TEST_CASE("telemetry: without descriptors a listener pauses until it accepts again",
                backends) {
  house at(backend);
  at.connect();
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return !telemetry(at.base()).listeners()[0].accepting; }));
  CHECK(telemetry(at.base()).listeners()[0].pauses == 1);
  at.where.restore_descriptors();
  CHECK(at.until([&] { return at.notes().all.size() == 1; }));
  at.rest();
  CHECK(telemetry(at.base()).listeners()[0].accepting);
}
