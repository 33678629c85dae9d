// Handles that outlive their connection, other threads, and the end of a loop.
#include "conformance/house.hpp"

#include "support/descriptors.hpp"

#include <chrono>
#include <thread>

using namespace hinge;
using namespace hinge::test;
using namespace std::chrono_literals;

HINGE_TEST_CASE("handle: on a connection that has gone everything is a counted no-op", backends) {
  house at(backend, {.close = [](connection c, close_cause) {
             // In on_close all is there still, but nothing can be done.
             CHECK((c.bytes_in() == 5 || c.loop().stopping()));
             CHECK(c.peer().is_loopback());
             CHECK_FALSE(c.is_open());
             CHECK_FALSE(c.send(bytes_of("no")));
             CHECK_FALSE(c.abort());
           }});
  at.enter().send("hello");
  CHECK(at.until([&] { return at.about(0).data == "hello"; }));
  connection gone = at.handle(0);
  CHECK(gone.is_open());
  CHECK(gone.close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));

  // Its slot is somebody else's by now.
  client& next = at.enter();
  CHECK(at.until([&] { return at.handle(1).id().slot == gone.id().slot; }));
  const std::uint64_t before = at.counters().stale_operations;
  CHECK_FALSE(gone.send(bytes_of("no")));
  CHECK_FALSE(gone.finish(bytes_of("no")));
  CHECK_FALSE(gone.close());
  CHECK_FALSE(gone.abort());
  CHECK_FALSE(gone.shutdown_write());
  CHECK_FALSE(gone.pause_reading());
  CHECK_FALSE(gone.resume_reading());
  CHECK(at.counters().stale_operations == before + 7);
  CHECK_FALSE(gone.is_open());
  CHECK(gone.fd() == -1);
  CHECK(gone.bytes_in() == 0);
  CHECK(gone.queued_bytes() == 0);
  CHECK(gone.opened() == 0);
  CHECK(gone.peer() == address());
  at.rest();
  CHECK(at.about(1).closes == 0);
  CHECK(next.received().empty());
  CHECK_FALSE(connection().send(bytes_of("nobody")));
}

HINGE_TEST_CASE("handle: what a connection knows of itself", backends) {
  house at(backend, {.data = echo}, {}, 2);
  const instant before = at.base().now();
  client& peer = at.enter(1);
  const connection c = at.handle(0);
  peer.send("four");
  CHECK(at.until([&] { return peer.received() == "four"; }));
  at.rest();
  CHECK(c.bytes_in() == 4);
  CHECK(c.bytes_out() == 4);
  CHECK(c.listener() == 1);
  CHECK(c.opened() >= before);
  CHECK(c.last_activity() >= c.opened());
  CHECK(c.peer().family() == family::ipv4);
  CHECK(c.peer().port() != 0);
  CHECK_FALSE(c.peer_ended());
  CHECK(at.where.is_open(c.fd()));
  CHECK(c == at.handle(0));
}

HINGE_TEST_CASE("handle: a peer that was asked for is known to the end", backends) {
  address asked;
  address at_last;
  house at(backend, {.data =
                         [&](connection c, std::span<std::byte> bytes) {
                           asked = c.peer();
                           CHECK(c.finish(bytes));
                         },
                     .close = [&](connection c, close_cause) { at_last = c.peer(); }});
  at.enter().send("hello");
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(asked.is_loopback());
  CHECK(at_last == asked);
}

HINGE_TEST_CASE("handle: a connection that has ended shows no descriptor", backends) {
  // A completion backend has closed it with the last reply.
  std::vector<int> shown;
  house at(backend, {.data =
                         [](connection c, std::span<std::byte> bytes) {
                           CHECK(c.fd() != -1);
                           bytes.front() == std::byte{'f'} ? c.finish(bytes) : c.abort();
                           CHECK(c.fd() == -1);
                         },
                     .close = [&](connection c, close_cause) { shown.push_back(c.fd()); }});
  at.enter().send("finish");
  at.enter().send("abort");
  CHECK(at.until([&] { return shown.size() == 2; }));
  CHECK(shown == std::vector{-1, -1});
}

HINGE_TEST_CASE("thread: posted functions run in the loop's thread, in order", backends) {
  house at(backend, {}, {.first_byte_timeout = 0s, .idle_timeout = 0s});
  constexpr int each = 100;
  const auto here = std::this_thread::get_id();
  std::vector<int> ran[2];
  std::size_t elsewhere = 0;
  std::vector<std::thread> threads;
  for (int which = 0; which < 2; ++which) {
    threads.emplace_back([&, which] {
      for (int i = 0; i < each; ++i)
        at.base().post([&, which, i] {
          ran[which].push_back(i);
          elsewhere += std::this_thread::get_id() != here;
        });
    });
  }
  // Waits for ever in each turn: a lost wake-up would hang.
  while (ran[0].size() + ran[1].size() < 2 * each) REQUIRE(at.running->turn() >= 0);
  for (std::thread& one : threads) one.join();
  CHECK(elsewhere == 0);
  for (const std::vector<int>& one : ran) CHECK(std::is_sorted(one.begin(), one.end()));
}

HINGE_TEST_CASE("thread: a wake ends a turn that would wait for ever", backends) {
  house at(backend, {}, {.first_byte_timeout = 0s, .idle_timeout = 0s});
  std::thread other([&] { at.base().wake(); });
  // The system may interrupt a wait; a wake that is lost would never end it.
  int told = 0;
  for (int turns = 0; told == 0 && turns < 5; ++turns) told = at.running->turn();
  CHECK(told == 1);
  other.join();
}

HINGE_TEST_CASE("thread: a function that is posted may stop the loop", backends) {
  house at(backend, {}, {.first_byte_timeout = 0s, .idle_timeout = 0s});
  at.enter();
  std::thread other([&] { at.base().post([&] { at.base().stop(); }); });
  CHECK(at.running->run() == 0);
  other.join();
  CHECK(at.about(0).cause == close_cause::drain);
}

HINGE_TEST_CASE("stop: everything ends, also what comes in the same turn", backends) {
  house* here = nullptr;
  house at(backend, {.data = [&](connection, std::span<std::byte>) { here->base().stop(); }});
  here = &at;
  client& one = at.enter();
  at.enter();
  at.rest();
  one.send("stop");
  for (int i = 0; i < 5; ++i) at.connect();
  CHECK(at.until([&] { return at.base().finished(); }, 50));
  CHECK(at.running->run() == 0);
  CHECK(at.base().open_connections() == 0);
  for (const heard& each : at.notes().all) CHECK(each.closes == 1);
  CHECK(at.counters().accepted == at.counters().closed_total() + at.counters().shed);
}

HINGE_TEST_CASE("drain: the handler is told, and has its time", backends) {
  const std::string large = pattern(1'000'000);
  house at(backend,
           {.drain =
                [&](connection c) {
                  if (c.listener() == 0) c.finish(bytes_of(large));
                }},
           {}, 2);
  client& finishes = at.enter(0);
  client& stays = at.enter(1);
  const address where = at.base().listener_at(0).local();
  const instant start = at.base().now();
  at.running->drain(1s);
  at.rest(2);
  CHECK(at.where.connect(where) == nullptr);
  CHECK(at.until([&] { return finishes.ended(); }));
  CHECK((finishes.received() == large));
  CHECK(at.until([&] { return at.base().finished(); }));
  CHECK(at.base().now() - start >= 1'000'000'000);
  CHECK(at.about(0).cause == close_cause::local_close);
  CHECK(at.about(1).draining);
  CHECK(at.about(1).cause == close_cause::drain);
  stays.listen_in();
  CHECK((stays.was_reset() || stays.ended()));
}

HINGE_TEST_CASE("drain: with nothing open it ends at once", backends) {
  house at(backend);
  at.running->drain(1h);
  CHECK(at.running->run() == 0);
  CHECK(at.base().finished());
}

HINGE_TEST_CASE("drain: who comes in the same turn is not forgotten", backends) {
  house* here = nullptr;
  house at(backend, {.data = [&](connection, std::span<std::byte>) { here->running->drain(1h); },
                     .drain = [](connection c) { c.close(); }});
  here = &at;
  client& one = at.enter();
  at.rest();
  one.send("drain");
  for (int i = 0; i < 5; ++i) at.connect();
  CHECK(at.until([&] { return at.base().finished(); }, 50));
  for (const heard& each : at.notes().all) CHECK(each.closes == 1);
}

HINGE_TEST_CASE("end: a loop's destructor tells every connection and leaves nothing", backends) {
  const std::size_t descriptors = open_descriptors();
  {
    std::size_t closes = 0;
    const std::string large = pattern(1'000'000);
    house at(backend, {.close = [&](connection, close_cause cause) {
               ++closes;
               CHECK(cause == close_cause::drain);
             }});
    at.enter();
    at.enter();
    const auto stuck = at.take_away(1);
    CHECK(at.handle(1).send(bytes_of(large)));
    at.connect();
    const address where = at.base().listener_at(0).local();
    at.running.reset();
    CHECK(closes >= 2);
    CHECK(at.where.connect(where) == nullptr);
    CHECK(listener::open(where));
    stuck->listen_in();
    CHECK(stuck->was_reset());
  }
  CHECK(open_descriptors() == descriptors);
}
