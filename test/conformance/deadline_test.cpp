// Deadlines, in virtual time where the world is simulated. Nothing fires early; how late is bounded
// there alone.
#include "conformance/house.hpp"
#include "support/descriptors.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

using namespace hinge;
using namespace hinge::test;
using namespace std::chrono_literals;

namespace {

constexpr loop_options untimed = {
    .first_byte_timeout = 0s, .idle_timeout = 0s, .write_stall_timeout = 0s, .drain_timeout = 0s};
constexpr nanoseconds timeout = 60ms;
constexpr nanoseconds tick = 17ms;  // two of the wheel's, and a turn

/// How long after `start` it was closed, with that cause.
void check_closed(house& at, std::size_t index, close_cause cause, instant start,
                  nanoseconds due = timeout) {
  CHECK(at.until([&] { return at.about(index).closes == 1; }));
  CHECK(at.about(index).cause == cause);
  CHECK(at.about(index).closed_at - start >= due.count());
  if (at.where.has_virtual_time()) CHECK(at.about(index).closed_at - start <= (due + tick).count());
}

}  // namespace

HINGE_TEST_CASE("deadline: the first byte", backends) {
  loop_options options = untimed;
  options.first_byte_timeout = timeout;
  house at(backend, {.data = echo}, options);
  at.enter();
  const instant opened = at.handle(0).opened();
  at.enter().send("in time");
  check_closed(at, 0, close_cause::first_byte_timeout, opened);
  CHECK(at.until([&] { return at.peers[0]->ended() || at.peers[0]->was_reset(); }));
  at.running->turn(at.where.late(at.base().now()));
  CHECK(at.about(1).closes == 0);
}

HINGE_TEST_CASE("deadline: idleness, in either direction", backends) {
  loop_options options = untimed;
  options.idle_timeout = timeout;
  house at(backend, {}, options);
  client& silent = at.enter();
  client& talks = at.enter();
  at.enter();  // is talked to
  silent.send("once");
  CHECK(at.until([&] { return at.about(0).data == "once"; }));
  const instant last = at.handle(0).last_activity();
  for (std::size_t i = 0; i < at.most_turns && at.about(0).closes == 0; ++i) {
    talks.send("still here");
    at.handle(2).send(bytes_of("are you?"));
    at.turn();
    at.turn();
  }
  check_closed(at, 0, close_cause::idle_timeout, last);
  CHECK(at.about(1).closes == 0);
  CHECK(at.about(2).closes == 0);
}

HINGE_TEST_CASE("deadline: a peer that doesn't take what is queued", backends) {
  loop_options options = untimed;
  options.write_stall_timeout = timeout;
  const std::string large = pattern(1'000'000);
  house at(backend, {}, options);
  at.enter();
  const auto stuck = at.take_away(0);
  at.rest();
  const instant start = at.base().now();
  CHECK(at.handle(0).send(bytes_of(large)));
  check_closed(at, 0, close_cause::write_stall, start);
  CHECK(at.until([&] {
    stuck->listen_in();
    return stuck->was_reset() || stuck->ended();
  }));
  CHECK(stuck->was_reset());
}

HINGE_TEST_CASE("deadline: progress puts a stall off", backends) {
  loop_options options = untimed;
  options.write_stall_timeout = timeout;
  const std::string large = pattern(1'000'000);
  house at(backend, {}, options);
  at.enter();
  const auto slow = at.take_away(0);
  CHECK(at.handle(0).send(bytes_of(large)));
  CHECK(at.until([&] {
    slow->listen_in();
    at.rest(2);
    return slow->received().size() == large.size();
  }));
  CHECK(at.about(0).closes == 0);
}

HINGE_TEST_CASE("deadline: a close that can't flush", backends) {
  loop_options options = untimed;
  options.drain_timeout = timeout;
  const std::string large = pattern(1'000'000);
  house at(backend, {}, options);
  at.enter();
  const auto stuck = at.take_away(0);
  at.rest();
  const instant start = at.base().now();
  CHECK(at.handle(0).finish(bytes_of(large)));
  check_closed(at, 0, close_cause::drain, start);
  CHECK(at.until([&] {
    stuck->listen_in();
    return stuck->was_reset() || stuck->ended();
  }));
  CHECK(stuck->was_reset());
}

HINGE_TEST_CASE("deadline: a stream that was cut short never looks complete", backends) {
  loop_options options = untimed;
  options.idle_timeout = 5 * timeout;  // it isn't to pass before something is sent
  const std::string large = pattern(1'000'000);
  house at(backend, {}, options);
  at.enter();
  const auto stuck = at.take_away(0);
  at.rest();
  const instant start = at.base().now();
  CHECK(at.handle(0).send(bytes_of(large)));
  check_closed(at, 0, close_cause::idle_timeout, start, 5 * timeout);
  CHECK(at.until([&] {
    stuck->listen_in();
    return stuck->was_reset() || stuck->ended();
  }));
  CHECK(stuck->was_reset());
  CHECK_FALSE(stuck->ended());
}

HINGE_TEST_CASE("deadline: a connection that is left half-closed", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  house at(backend, {.end = [](connection) {}}, options);
  for (int i = 0; i < 3; ++i) at.enter();
  CHECK_FALSE(at.base().oldest_half_closed());
  const instant start = at.base().now();
  at.peers[1]->shutdown();
  CHECK(at.until([&] { return at.about(1).ended; }));
  at.peers[0]->shutdown();
  CHECK(at.until([&] { return at.about(0).ended; }));
  CHECK(at.base().half_closed() == 2);
  CHECK(at.base().oldest_half_closed()->id == at.handle(1).id());

  CHECK(at.until([&] { return !at.about(0).half_closed.empty(); }));
  CHECK(at.base().now() - start >= timeout.count());
  CHECK(at.base().oldest_half_closed()->age >= at.about(1).half_closed.at(0));
  at.running->turn(at.where.late(at.base().now()));
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(at.about(i).half_closed.size() == 1);
    CHECK(at.about(i).half_closed[0] >= timeout);
    if (at.where.has_virtual_time()) CHECK(at.about(i).half_closed[0] <= timeout + tick);
    CHECK(at.about(i).closes == 0);
  }
  CHECK(at.about(2).half_closed.empty());

  // However it goes on, it is off the list.
  CHECK(at.handle(1).send(bytes_of("late")));
  CHECK(at.handle(1).close());
  CHECK(at.until([&] { return at.about(1).closes == 1; }));
  CHECK(at.base().oldest_half_closed()->id == at.handle(0).id());
  CHECK(at.handle(0).shutdown_write());
  CHECK_FALSE(at.base().oldest_half_closed());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  // Also by a close that takes its time.
  at.peers[2]->shutdown();
  CHECK(at.until([&] { return at.about(2).ended; }));
  CHECK(at.base().half_closed() == 1);
  const std::string large = pattern(900'000);
  CHECK(at.handle(2).send(bytes_of(large)));
  CHECK(at.handle(2).close());
  CHECK(at.about(2).closes == 0);
  CHECK(at.base().half_closed() == 0);
  CHECK(at.until([&] { return at.peers[2]->received().size() == large.size(); }, 5000));
  CHECK(at.until([&] { return at.about(2).closes == 1; }));
}

HINGE_TEST_CASE("deadline: a peer's end that a pause leaves unread", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  house at(backend,
           {.data =
                [](connection c, std::span<std::byte> bytes) {
                  if (bytes.size() == 1) c.pause_reading();
                },
            .end = [](connection) {}},
           options);
  at.enter().send("some");
  CHECK(at.until([&] { return at.about(0).data == "some"; }));
  at.rest();
  at.peers[0]->send("s");
  at.peers[0]->shutdown();
  const auto told = [&] { return !at.about(0).half_closed.empty(); };
  CHECK(at.until(told));
  CHECK(at.base().half_closed() == 1);
  CHECK_FALSE(at.about(0).ended);

  at.handle(0).resume_reading();
  CHECK(at.until([&] { return at.about(0).ended; }));
  CHECK(at.until(told));
  at.running->turn(at.where.late(at.base().now()));
  CHECK(at.base().half_closed() == 1);
  CHECK(at.about(0).half_closed.size() == 1);
  at.handle(0).close();
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.base().half_closed() == 0);
}

HINGE_TEST_CASE("deadline: a pause that begins with the last buffer of a turn", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  options.receives_per_event = 1;
  options.receive_buffer_bytes = 4;
  house at(backend,
           {.data = [](connection c, std::span<std::byte>) { c.pause_reading(); },
            .end = [](connection) {}},
           options);
  at.enter();
  at.rest();
  at.peers[0]->send("some and more");
  at.peers[0]->shutdown();
  CHECK(at.until([&] { return !at.about(0).half_closed.empty(); }));
  CHECK(at.base().half_closed() == 1);
  CHECK_FALSE(at.about(0).ended);
  at.handle(0).close();
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
}

HINGE_TEST_CASE("deadline: a peer's end that comes in a pause", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  house at(backend,
           {.data = [](connection c, std::span<std::byte>) { c.pause_reading(); },
            .end = [](connection) {}},
           options);
  at.enter().send("some");
  CHECK(at.until([&] { return at.about(0).data == "some"; }));
  at.rest();
  at.peers[0]->send("more");
  at.rest();
  at.peers[0]->shutdown();
  const auto told = [&] { return !at.about(0).half_closed.empty(); };
  CHECK(at.until(told));
  CHECK(at.base().half_closed() == 1);
  CHECK_FALSE(at.about(0).ended);
  CHECK(at.about(0).data == "some");

  // Nothing was lost by that.
  at.handle(0).resume_reading();
  CHECK(at.until([&] { return at.about(0).data == "somemore"; }));
  at.handle(0).resume_reading();
  CHECK(at.until([&] { return at.about(0).ended; }));
  CHECK(at.base().half_closed() == 1);
  CHECK(at.about(0).half_closed.size() == 1);
  CHECK(at.handle(0).send(bytes_of("late")));
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.base().half_closed() == 0);
}

HINGE_TEST_CASE("deadline: a peer's end behind a full socket", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  options.queue_high_bytes = options.queue_low_bytes = 1024;
  house at(backend, {.data = echo, .end = [](connection) {}}, options);
  at.enter();
  const auto peer = at.take_away(0);
  const std::string block = pattern(16 * 1024);
  std::size_t sent = 0;
  CHECK(at.until(
      [&] {
        // No more than fits behind what isn't read, and the end with it.
        if (at.about(0).data.size() == sent) sent += peer->send(block);
        return at.counters().read_pauses != 0;
      },
      20'000));
  at.rest();
  peer->shutdown();
  CHECK(at.until([&] { return !at.about(0).half_closed.empty(); }));
  CHECK(at.base().half_closed() == 1);
  CHECK_FALSE(at.about(0).ended);
}

HINGE_TEST_CASE("deadline: who closes at the peer's end was never left half-closed", backends) {
  loop_options options = untimed;
  options.half_closed_limit = timeout;
  std::size_t ends = 0;
  const std::string large = pattern(500'000);
  house at(backend,
           {.end =
                [&](connection c) {
                  if (ends == 0) c.close();
                  if (ends == 1) c.shutdown_write();
                  if (ends == 2) c.finish(bytes_of(large));
                  if (ends == 3) c.abort();
                  ++ends;
                }},
           options);
  for (std::size_t i = 0; i < 4; ++i) {
    client& peer = at.enter();
    peer.send("all");
    peer.shutdown();
    CHECK(at.until([&] { return ends == i + 1; }));
    CHECK(at.base().half_closed() == 0);
  }
  CHECK(at.until([&] { return at.counters().closed_total() == 4; }));
  for (std::size_t i = 0; i < 4; ++i) CHECK(at.about(i).half_closed.empty());
}

HINGE_TEST_CASE("deadline: 0 is off", backends) {
  house at(backend, {}, untimed);
  at.enter();
  at.enter();
  const auto stuck = at.take_away(1);
  CHECK(at.handle(1).finish(bytes_of(pattern(1'000'000))));
  for (int i = 0; i < 5; ++i) {
    REQUIRE(at.running->turn(at.where.late(at.base().now())) >= 0);
    CHECK(at.base().open_connections() == 2);
  }
}

HINGE_TEST_CASE("deadline: many at once, each at its own time", backends) {
  loop_options options = untimed;
  options.first_byte_timeout = timeout;
  house at(backend, {}, options);
  std::vector<instant> opened;
  for (std::size_t i = 0; i < 20; ++i) {
    at.enter();
    opened.push_back(at.handle(i).opened());
    at.turn();
  }
  for (std::size_t i = 0; i < opened.size(); ++i)
    check_closed(at, i, close_cause::first_byte_timeout, opened[i]);
}

HINGE_TEST_CASE("deadline: thousands that are due together leave others their turn",
                chosen_backends) {
  constexpr std::size_t most_of_a_turn = 256;
  loop_options options = untimed;
  options.max_connections = 4001;
  options.first_byte_timeout = 1s;
  house at(backend, {.data = echo}, options);
  const std::size_t most = std::min<std::size_t>(4000, (raise_descriptor_limit() - 200) / 2);
  // They come before the first of them is due, as many as the machine has time for.
  const instant start = at.base().now();
  std::vector<std::unique_ptr<client>> silent;
  while (silent.size() < most && at.base().now() - start < nanoseconds(500ms).count()) {
    silent.push_back(at.where.connect(at.base().listener_at(0).local()));
    REQUIRE(silent.back());
    REQUIRE(at.running->turn(at.where.soon(at.base().now())) >= 0);
  }
  CHECK(at.until([&] { return at.counters().accepted == silent.size(); }));
  const auto expired = [&] { return at.closed(close_cause::first_byte_timeout); };
  if (expired() != 0 || silent.size() < 4 * most_of_a_turn) SKIP("no time for a thousand in 1 s");
  std::this_thread::sleep_for(1100ms);
  at.connect().send("in between");
  const auto answered = [&] { return at.peers[0]->received() == "in between"; };
  std::uint64_t expired_before_answer = silent.size();
  for (std::uint64_t before = 0; before < silent.size(); before = expired()) {
    at.turn();
    REQUIRE(expired() > before);
    CHECK(expired() - before <= most_of_a_turn);
    if (answered()) expired_before_answer = std::min(expired_before_answer, expired());
  }
  CHECK(expired_before_answer < silent.size());
}
