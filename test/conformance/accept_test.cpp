// Accepting, as a loop does it on every backend: full tables, lack of descriptors, dead listeners.
#include "conformance/house.hpp"

#include <hinge/fd.hpp>
#include <hinge/socket.hpp>

#include "support/descriptors.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>

using namespace hinge;
using namespace hinge::test;

HINGE_TEST_CASE("rule 6: a full table pauses the listener, the kernel's queue waits", backends) {
  house at(backend, {}, {.max_connections = 3});
  for (int i = 0; i < 6; ++i) at.connect();
  CHECK(at.until([&] { return at.notes().all.size() == 3; }));
  at.rest();
  CHECK(at.notes().all.size() == 3);
  CHECK(at.counters().full_pauses == 1);
  for (std::size_t open = 0; open < 6; ++open) {
    CHECK(at.until([&] { return at.notes().all.size() >= std::min<std::size_t>(6, open + 3); }));
    CHECK(at.handle(open).close());
    CHECK(at.until([&] { return at.about(open).closes == 1; }));
    CHECK(at.base().open_connections() <= 3);
  }
  CHECK(at.counters().accepted == 6);
  CHECK(at.counters().shed == 0);
}

HINGE_TEST_CASE("rule 7: accepts per turn are bounded by the option", backends) {
  house at(backend, {}, {.accepts_per_turn = 4});
  for (int i = 0; i < 30; ++i) at.connect();
  for (std::size_t before = 0, turns = 0; before < 30 && turns < 200; ++turns) {
    at.turn();
    CHECK(at.notes().all.size() - before <= 4);
    before = at.notes().all.size();
  }
  CHECK(at.notes().all.size() == 30);
  CHECK(at.where.empty_accepts() == 0);
}

HINGE_TEST_CASE("rule 6: several listeners share a tiny table fairly", backends) {
  house at(backend, {.accept = [](connection c) { c.finish(bytes_of("next")); }},
           {.max_connections = 1}, 3);
  for (std::size_t i = 0; i < 60; ++i) at.connect(i % 3);
  CHECK(at.until([&] { return at.notes().all.size() >= 30; }));
  for (std::size_t listener = 0; listener < 3; ++listener) {
    CAPTURE(listener);
    const auto served = std::count_if(at.notes().all.begin(), at.notes().all.end(),
                                      [&](const heard& one) { return one.listener == listener; });
    CHECK(served >= 3);
  }
  CHECK(at.until([&] { return at.counters().closed_total() == 60; }));
}

HINGE_TEST_CASE("rule 5: without descriptors the next close lets the next one in", backends) {
  house at(backend);
  at.enter();
  at.enter();
  at.connect();
  at.connect();
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return !at.notes().errors.empty(); }));
  CHECK(at.notes().errors.front() == std::pair<std::size_t, int>(0, -EMFILE));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(at.handle(i).close());
    // Long before the back-off is over.
    CHECK(at.until([&] { return at.notes().all.size() == 3 + i; }, 10));
  }
  CHECK(at.notes().all.size() == 4);
  at.where.restore_descriptors();
  CHECK(at.until([&] { return !at.notes().recovered.empty(); }));
  CHECK(at.notes().recovered.front().second.ended_by == want_end::freed_here);
}

HINGE_TEST_CASE("rule 5: the next close lets the next one in at once, also in a loop that sleeps",
                backends) {
  house at(backend);
  at.enter();
  at.enter();
  at.connect();
  at.where.exhaust_descriptors();
  const auto since = [&](instant start) { return at.base().now() - start; };
  const auto sleep = [&] {
    CHECK(at.running->turn(deadline::after(at.base().now(), std::chrono::seconds(5))) >= 0);
  };
  // The fourth pause takes 800 ms, and has just begun.
  const instant start = at.base().now();
  while (since(start) < 700'000'000) sleep();
  CHECK(at.handle(0).close());
  const instant closed = at.base().now();
  for (int i = 0; i < 10 && at.notes().all.size() == 2; ++i) sleep();
  CHECK(at.notes().all.size() == 3);
  CHECK(since(closed) < 400'000'000);
  at.where.restore_descriptors();
}

HINGE_TEST_CASE("rule 5: otherwise a back-off tries again, and doesn't spin", backends) {
  house at(backend);
  at.enter();
  at.connect();
  const std::uint64_t before = at.where.accepts();
  at.where.exhaust_descriptors();
  const auto elapsed = [&, start = at.base().now()] { return at.base().now() - start; };
  CHECK(at.until([&] { return elapsed() > 800'000'000; }));
  // At 0, 100, 300 and 700 ms, and what a close of the test's own may have added.
  CHECK(at.where.accepts() - before >= 3);
  CHECK(at.where.accepts() - before <= 6);
  CHECK(at.notes().errors.size() == 1);  // an episode is told once
  CHECK(at.notes().all.size() == 1);

  at.where.restore_descriptors();
  CHECK(at.until([&] { return at.notes().all.size() == 2; }));
}

HINGE_TEST_CASE("rule 5: running out again and again is told once", backends) {
  house at(backend);
  at.enter();
  const auto run_out = [&] {
    const std::uint64_t before = at.counters().accept_exhausted;
    const std::size_t served = at.notes().all.size();
    at.connect();
    at.where.exhaust_descriptors();
    CHECK(at.until([&] { return at.counters().accept_exhausted > before; }));
    at.where.restore_descriptors();
    CHECK(at.until([&] { return at.notes().all.size() == served + 1; }));
  };
  const instant began = at.base().now();
  run_out();
  run_out();
  const instant worked = at.base().now();
  CHECK(at.notes().errors.size() == 1);
  CHECK(at.counters().accept_episodes == 1);
  CHECK(at.notes().recovered.empty());
  // Nothing else wakes it.
  while (at.notes().recovered.empty() && at.base().now() - worked < 4'500'000'000)
    at.running->turn(deadline::after(at.base().now(), std::chrono::seconds(5)));
  REQUIRE(at.notes().recovered.size() == 1);
  CHECK(at.base().now() - worked < 4'500'000'000);
  const auto [listener, episode] = at.notes().recovered.front();
  CHECK(listener == 0);
  CHECK(episode.began >= began);
  CHECK(episode.length.count() > 0);
  CHECK(episode.began + episode.length.count() <= worked);
  CHECK(episode.failures == at.counters().accept_exhausted);
  CHECK(episode.ended_by == want_end::retry);
  run_out();
  CHECK(at.notes().errors.size() == 2);
}

HINGE_TEST_CASE("rule 5: whom there is no descriptor for is reset, if that was asked for",
                backends) {
  house at(backend, {.data = echo}, {.on_exhaustion = exhaustion::shed_reset});
  at.enter();
  for (std::uint64_t round = 1; round <= 2; ++round) {
    for (int i = 0; i < 5; ++i) at.connect();
    at.where.exhaust_descriptors();
    CHECK(at.until([&] { return at.counters().shed_exhausted == 5 * round; }, 100));
    const std::size_t first = at.peers.size() - 5;
    for (std::size_t i = first; i < first + 5; ++i)
      CHECK(at.until([&] { return at.peers[i]->was_reset(); }));
    // With nobody left it waits, and doesn't try.
    const std::uint64_t tries = at.where.accepts();
    at.rest(50);
    CHECK(at.where.accepts() - tries <= 4);
    CHECK(at.notes().errors.size() == 1);
    CHECK(at.notes().all.size() == round);

    at.where.restore_descriptors();
    client& served = at.enter();
    served.send("served");
    CHECK(at.until([&] { return served.received() == "served"; }));
  }
  CHECK(at.counters().shed == 10);
  CHECK(at.until([&] { return !at.notes().recovered.empty(); }));
}

HINGE_TEST_CASE("rule 5: listeners that shed share the descriptor in reserve", backends) {
  house at(backend, {}, {.on_exhaustion = exhaustion::shed_reset}, 3);
  for (std::size_t i = 0; i < 12; ++i) at.connect(i % 3);
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return at.counters().shed_exhausted == 12; }));
  at.where.restore_descriptors();
  for (std::size_t i = 0; i < 3; ++i) at.enter(i);
}

HINGE_TEST_CASE("rule 5: the handler says whether they queue or are reset", backends) {
  std::size_t asked = 0;
  exhaustion says = exhaustion::queue;
  house at(backend, {.exhausted = [&](std::size_t) { return ++asked, says; }},
           {.on_exhaustion = exhaustion::handler});
  at.enter();
  at.connect();
  at.connect();
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return asked == 3; }));  // at 0, 100 and 300 ms
  CHECK(at.counters().accept_exhausted == 3);
  CHECK(at.counters().shed == 0);
  says = exhaustion::shed_reset;
  CHECK(at.until([&] { return at.counters().shed_exhausted == 2; }));
  CHECK(at.peers[1]->was_reset());
  CHECK(at.peers[2]->was_reset());
  at.where.restore_descriptors();
  at.enter();
}

HINGE_TEST_CASE("rule 5: when somebody else takes the descriptor in reserve, nothing spins",
                backends) {
  house at(backend, {}, {.on_exhaustion = exhaustion::shed_reset});
  at.enter();
  at.connect();
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return !at.notes().errors.empty(); }));
  unique_fd taken(sockets::open_stream(family::ipv4));
  REQUIRE(taken);
  const std::uint64_t before = at.where.accepts();
  const auto elapsed = [&, start = at.base().now()] { return at.base().now() - start; };
  CHECK(at.until([&] { return elapsed() > 800'000'000; }));
  CHECK(at.where.accepts() - before <= 6);
  CHECK(at.counters().shed == 0);
  taken.reset();
  CHECK(at.until([&] { return at.counters().shed_exhausted == 1; }));
  CHECK(at.until([&] { return at.peers[1]->was_reset(); }));
  at.where.restore_descriptors();
  at.enter();
}

HINGE_TEST_CASE("rule 5: a lost connection costs nobody else", backends) {
  house at(backend);
  at.enter();
  at.where.fail_next_accept(ECONNABORTED);
  at.connect();
  at.connect();
  CHECK(at.until([&] { return at.notes().all.size() >= 2; }));
  CHECK(at.counters().accept_retries == 1);
  CHECK(at.notes().errors.empty());
}

HINGE_TEST_CASE("rule 5: a dead listener is told once, the others go on", backends) {
  house at(backend, {.data = echo}, {}, 2);
  at.where.fail_next_accept(EINVAL);
  at.connect(0);
  CHECK(at.until([&] { return at.notes().errors.size() == 1; }));
  CHECK(at.notes().errors.front() == std::pair<std::size_t, int>(0, -EINVAL));
  CHECK(at.counters().listeners_died == 1);
  CHECK(at.until([&] { return at.base().listener_at(0).fd() == -1; }));
  client& peer = at.enter(1);
  peer.send("alive");
  CHECK(at.until([&] { return peer.received() == "alive"; }));
  CHECK(at.notes().errors.size() == 1);
  at.base().stop();
  CHECK(at.until([&] { return at.base().finished(); }));
}

HINGE_TEST_CASE("rule 8: a kept connection is registered once", backends) {
  house at(backend, {.data = echo});
  client& peer = at.enter();
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    peer.send("message");
    expected += "message";
    CHECK(at.until([&] { return peer.received() == expected; }));
  }
  CHECK(at.where.registrations() == backend.registrations(20));
}

HINGE_TEST_CASE("rule 8: what is finished in its first turn is never registered",
                readiness_backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) { c.finish(bytes); }});
  for (int i = 0; i < 10; ++i) {
    client& peer = at.connect();
    peer.send("all there");
    CHECK(at.until([&] { return peer.ended(); }));
    CHECK(peer.received() == "all there");
  }
  CHECK(at.where.registrations() == 0);
}

HINGE_TEST_CASE("rule 4: no event reaches a connection that another one's handler closed",
                backends) {
  house* here = nullptr;
  house at(backend, {.data = [&](connection c, std::span<std::byte>) {
             for (connection other : here->notes().handles)
               if (other != c) other.close();
           }});
  here = &at;
  client& one = at.enter();
  client& other = at.enter();
  at.rest();
  one.send("I was first");
  other.send("I was first");
  CHECK(at.until([&] { return at.counters().closed_total() == 1; }));
  at.rest();
  CHECK(at.about(0).calls + at.about(1).calls == 1);
  CHECK(at.about(0).closes + at.about(1).closes == 1);
  // kqueue tells of reading and of writing.
  if (!backend.completes) CHECK(at.counters().stale_events >= 1);
}

TEST_CASE("rule 5: a close in another loop of the process lets the next one in") {
  const tested_backend backend = backends().front();  // any one on real sockets
  house at(backend);
  const std::unique_ptr<tested_loop> other = backend.make_loop();
  REQUIRE(other->open({.max_connections = 8}));
  REQUIRE(other->base().listen(address::loopback(0)));
  const auto peer = at.where.connect(other->base().listener_at(0).local());
  for (int i = 0; i < 50 && other->handler().all.empty(); ++i)
    other->turn(at.where.soon(other->base().now()));
  REQUIRE(other->handler().all.size() == 1);

  at.connect();
  at.where.exhaust_descriptors();
  CHECK(at.until([&] { return at.notes().errors.size() == 1; }));
  CHECK(other->handler().handles[0].close());
  other->turn(deadline::immediately());
  CHECK(at.until([&] { return at.notes().all.size() == 1; }, 10));
  at.where.restore_descriptors();
  CHECK(at.until([&] { return !at.notes().recovered.empty(); }));
  CHECK(at.notes().recovered.front().second.ended_by == want_end::freed_elsewhere);
}
