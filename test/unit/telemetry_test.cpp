// What a loop tells of itself: times in virtual time, and a queue as the system tells of it.
#include <hinge/telemetry.hpp>

#include "support/clocked_poller.hpp"
#include "support/listening.hpp"
#include "support/masked.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <sys/eventfd.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace hinge::test;
using namespace std::chrono_literals;
using hinge::address;
using hinge::event;
using hinge::event_kind;
using hinge::telemetry;
using hinge::unique_fd;

namespace {

event accept_event(int result, std::uint32_t listener = 0) {
  return {.subject = hinge::token(hinge::role::listener, listener, 0),
          .result = result,
          .buffer = 0,
          .kind = event_kind::accepted,
          .more = 1};
}

event metered_accept(std::uint32_t listener = 0) {
  return accept_event(eventfd(0, EFD_CLOEXEC), listener);
}

struct metered_loop : hinge::loop<clocked_poller, worker> {
  explicit metered_loop(hinge::loop_options options = {},
                        std::vector<address> where = {address::loopback(0)}) {
    options.max_connections = 4;
    REQUIRE(open(options));
    for (const address& one : where) REQUIRE(listen(one, {.backlog = 8}));
  }
  void turn_with(hinge::nanoseconds wait, std::vector<event> events = {}) {
    poller().script.push_back({wait, std::move(events)});
    turn();
  }
};

/// Leaves its connections open when their peers have ended.
struct leaver {
  std::vector<hinge::connection> peers;

  void on_accept(hinge::connection peer) { peers.push_back(peer); }
  void on_data(hinge::connection, std::span<std::byte>) {}
  void on_end(hinge::connection) {}
};

constexpr hinge::loop_options measured = {.work_clock = clocked_poller::read_clock};

std::vector<unique_fd> connect(const address& to, int count) {
  std::vector<unique_fd> made;
  for (int i = 0; i < count; ++i) {
    made.emplace_back(hinge::sockets::open_stream(to.family()));
    hinge::sockets::connect(made.back().get(), to);
  }
  return made;
}

void needs_queue_facts() {
  if (!opened(address::loopback(0)).waiting()) SKIP("this system doesn't tell of a queue");
}

}  // namespace

TEST_CASE("Without a clock for it no time is measured") {
  metered_loop tested;
  tested.turn_with(10ms, {metered_accept()});
  const telemetry seen(tested);
  CHECK_FALSE(seen.work);
  REQUIRE(seen.listeners().size() == 1);
  CHECK_FALSE(seen.listeners()[0].accepts);
  CHECK(seen.counters.accepted == 1);
}

TEST_CASE("Waiting and working are told apart, and sum up to all time up to the last wait") {
  metered_loop tested(measured);
  tested.handler().work = [](hinge::connection) { clocked_poller::clock += 3'000'000; };
  const hinge::instant start = clocked_poller::clock;
  tested.turn_with(10ms, {metered_accept()});
  tested.turn_with(20ms, {metered_accept(), metered_accept()});
  {
    const telemetry seen(tested);  // the second turn's work isn't over
    REQUIRE(seen.work);
    CHECK(seen.work->waiting == 30ms);
    CHECK(seen.work->working == 3ms);
  }
  tested.turn_with(0ms);
  const telemetry seen(tested);
  CHECK(seen.work->waiting == 30ms);
  CHECK(seen.work->working == 9ms);
  CHECK(seen.work->longest_work == 6ms);
  CHECK(tested.now() - start == 39'000'000);
}

TEST_CASE("What is between open() and the first turn is neither waiting nor working") {
  metered_loop tested(measured);
  clocked_poller::clock += 700'000'000;
  {
    const telemetry seen(tested);
    REQUIRE(seen.work);
    CHECK(seen.work->waiting == 0ms);
    CHECK(seen.work->working == 0ms);
  }
  tested.turn_with(10ms, {metered_accept()});
  tested.turn_with(0ms);
  const telemetry seen(tested);
  CHECK(seen.work->waiting == 10ms);
  CHECK(seen.work->working == 0ms);
  CHECK(seen.work->longest_work == 0ms);
  REQUIRE(seen.listeners()[0].accepts);
  CHECK(seen.listeners()[0].accepts->turns == 1);
  CHECK(seen.listeners()[0].accepts->longest_lag == 0ms);
}

TEST_CASE("A half-closed connection is in the snapshot, with its age") {
  clocked_poller::clock += 1;
  hinge::loop<clocked_poller, leaver> tested;
  REQUIRE(tested.open({.max_connections = 4}));
  REQUIRE(tested.listen(address::loopback(0)));
  const auto turn_with = [&](hinge::nanoseconds wait, std::vector<event> events) {
    tested.poller().script.push_back({wait, std::move(events)});
    tested.turn();
  };
  const auto ended = [&](hinge::connection_id id) {
    return event{.subject = tested.table().token_of(id.slot),
                 .result = 0,
                 .buffer = hinge::no_buffer,
                 .kind = event_kind::received};
  };
  turn_with(0ms, {metered_accept(), metered_accept()});
  turn_with(0ms, {});
  {
    const telemetry seen(tested);
    CHECK(seen.half_closed == 0);
    CHECK_FALSE(seen.oldest_half_closed);
  }
  REQUIRE(tested.handler().peers.size() == 2);
  turn_with(5ms, {ended(tested.handler().peers[1].id())});
  turn_with(20ms, {ended(tested.handler().peers[0].id())});
  turn_with(70ms, {});
  const telemetry seen(tested);
  CHECK(seen.half_closed == 2);
  CHECK(seen.oldest_half_closed == 90ms);
}

TEST_CASE("The lag of an accept is what the loop worked since the wait before") {
  metered_loop tested(measured, {address::loopback(0), address::loopback(0)});
  tested.handler().work = [](hinge::connection) { clocked_poller::clock += 4'000'000; };
  tested.turn_with(10ms, {metered_accept(0), metered_accept(0)});  // nothing was done before: 0
  tested.turn_with(50ms, {metered_accept(0), metered_accept(1), metered_accept(0)});  // 8 ms
  tested.turn_with(0ms, {metered_accept(1)});                                         // 12 ms
  tested.turn_with(7ms);
  tested.turn_with(1ms, {metered_accept(1)});  // nothing was done in the turn before: 0
  const telemetry seen(tested);
  const auto first = seen.listeners()[0].accepts;
  const auto second = seen.listeners()[1].accepts;
  REQUIRE((first && second));
  CHECK((first->accepted == 4 && first->turns == 2));
  CHECK((first->lag == 8ms && first->longest_lag == 8ms));
  CHECK((second->accepted == 3 && second->turns == 3));
  CHECK((second->lag == 20ms && second->longest_lag == 12ms));
}

TEST_CASE("A pause for want of descriptors is counted with its time, also while it goes on") {
  metered_loop tested;
  tested.turn_with(0ms);
  CHECK(telemetry(tested).listeners()[0].accepting);
  tested.turn_with(0ms, {{.subject = hinge::token(hinge::role::listener, 0, 0),
                          .result = -EMFILE,
                          .kind = event_kind::accepted}});
  tested.turn_with(30ms);
  {
    const telemetry seen(tested);
    CHECK_FALSE(seen.listeners()[0].accepting);
    CHECK(seen.listeners()[0].pauses == 1);
    CHECK(seen.listeners()[0].paused == 30ms);
  }
  tested.turn_with(200ms);  // longer than the back-off
  tested.turn_with(1000ms);
  const telemetry seen(tested);
  CHECK(seen.listeners()[0].accepting);
  CHECK(seen.listeners()[0].pauses == 1);
  CHECK(seen.listeners()[0].paused == 230ms);
}

TEST_CASE("A pause ends with its listener") {
  metered_loop tested;
  const hinge::token door(hinge::role::listener, 0, 0);
  tested.turn_with(0ms, {{.subject = door, .result = -EMFILE, .kind = event_kind::accepted}});
  tested.turn_with(30ms);
  tested.turn_with(0ms, {{.subject = door, .result = -EINVAL, .kind = event_kind::accepted}});
  tested.turn_with(500ms);
  const telemetry seen(tested);
  CHECK(seen.listeners()[0].closed);
  CHECK_FALSE(seen.listeners()[0].accepting);
  CHECK(seen.listeners()[0].paused == 30ms);
}

TEST_CASE("The queue of a TCP listener, and the most that waited in it") {
  needs_queue_facts();
  metered_loop tested;
  const address where = tested.listener_at(0).local();
  const auto clients = connect(where, 3);
  {
    const telemetry seen(tested);
    CHECK(seen.listeners()[0].waiting == 3);
    CHECK(seen.listeners()[0].most_waiting == 3);
    if (!masked) CHECK(seen.listeners()[0].drops == 0);
    CHECK(seen.listeners()[0].asked_backlog == 8);
    CHECK(seen.listeners()[0].where == where);
  }
  const unique_fd taken(::accept(tested.listener_at(0).fd(), nullptr, nullptr));
  const telemetry seen(tested);
  CHECK(seen.listeners()[0].waiting == 2);
  CHECK(seen.listeners()[0].most_waiting == 3);
}

TEST_CASE("The queue is looked at behind a full turn, and after a long pause") {
  needs_queue_facts();
  hinge::loop_options options = measured;
  const bool full_turn = GENERATE(true, false);
  options.accepts_per_turn = 1;
  options.events_per_turn = 8;
  metered_loop tested(full_turn ? options : hinge::loop_options{});
  tested.turn_with(0ms);
  auto clients = connect(tested.listener_at(0).local(), 2);
  if (full_turn) {
    tested.turn_with(0ms, {metered_accept()});
  } else {
    tested.turn_with(0ms, {accept_event(-EMFILE)});
    tested.turn_with(200ms);
  }
  tested.turn_with(0ms);
  for (int i = 0; i < 2; ++i)
    CHECK(unique_fd(::accept(tested.listener_at(0).fd(), nullptr, nullptr)));
  const telemetry seen(tested);
  CHECK(seen.listeners()[0].waiting == 0);
  CHECK(seen.listeners()[0].most_waiting == 2);
}

TEST_CASE("What the system doesn't tell is absent, and not zero") {
  if (masked) SKIP("no abstract names");
  const std::string name = "hinge-telemetry-test-" + std::to_string(getpid());
  metered_loop tested({}, {*address::unix_abstract(name)});
  const telemetry seen(tested);
  CHECK_FALSE(seen.listeners()[0].waiting);
  CHECK_FALSE(seen.listeners()[0].most_waiting);
  CHECK_FALSE(seen.listeners()[0].drops);
}

TEST_CASE("Drops of a listener are those of its own full queue") {
  hinge::test::need_linux();
  const hinge::listener full = opened(address::loopback(0), {.backlog = 1});
  const hinge::listener other = opened(address::loopback(0), {.backlog = 1});
  const auto clients = connect(full.local(), 6);
  CHECK(full.waiting() == 2);  // one more than the backlog: Linux compares with >
  REQUIRE(full.drops());
  CHECK(full.drops() >= 4);
  CHECK(other.drops() == 0);
}
