// Whom a listener lets in: rules and limits, decided before a handler hears of anybody.
#include "conformance/house.hpp"

#include <hinge/address_rules.hpp>

#include <memory>
#include <utility>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

/// Peers of these cases are on this machine.
std::shared_ptr<const address_rules> rules(std::vector<const char*> allow,
                                           std::vector<const char*> deny) {
  std::vector<network> lists[2];
  for (const char* const text : allow) lists[0].push_back(*network::parse(text));
  for (const char* const text : deny) lists[1].push_back(*network::parse(text));
  return std::make_shared<const address_rules>(std::move(*address_rules::make(lists[0], lists[1])));
}

}  // namespace

HINGE_TEST_CASE("door: who is denied is closed, and no handler hears of it", backends) {
  house at(backend);
  at.base().set_door(0, {.rules = rules({}, {"127.0.0.0/8"})});
  for (int i = 0; i < 3; ++i) at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::denied) == 3; }));
  CHECK(at.until([&] { return at.peers[2]->ended() || at.peers[2]->was_reset(); }));
  CHECK(at.notes().all.empty());
  CHECK(at.counters().accepted == 3);
  CHECK(at.base().open_connections() == 0);
}

HINGE_TEST_CASE("door: rules change while the loop runs, for those who come then", backends) {
  house at(backend);
  at.enter();
  at.base().set_door(0, {.rules = rules({"10.0.0.0/8"}, {})});
  at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::denied) == 1; }));
  at.base().set_door(0, {.rules = rules({"127.0.0.0/8"}, {})});
  at.enter();
  at.base().set_door(0, {});
  at.enter();
  CHECK(at.notes().all.size() == 3);
  CHECK(at.base().open_connections() == 3);
}

HINGE_TEST_CASE("door: a listener's own limit, and a place that becomes free", backends) {
  house at(backend, {}, {}, 2);
  at.base().set_door(0, {.max_connections = 2});
  at.enter(0);
  at.enter(0);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::listener_full) == 1; }));
  at.enter(1);
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  at.enter(0);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::listener_full) == 2; }));
  CHECK(at.notes().all.size() == 4);
}

HINGE_TEST_CASE("door: connections that have sent nothing yet", backends) {
  house at(backend, {}, {}, 2);
  at.base().set_door(0, {.max_pending = 2});
  client& first = at.enter(0);
  at.enter(0);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::pending_full) == 1; }));
  at.enter(1);
  first.send("a");
  CHECK(at.until([&] { return at.about(0).data == "a"; }));
  first.send("b");
  CHECK(at.until([&] { return at.about(0).data == "ab"; }));
  at.enter(0);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::pending_full) == 2; }));
  // Whether it ends or speaks, it isn't pending any more.
  CHECK(at.handle(1).close());
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.counters().closed_total() == 4; }));
  at.enter(0);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::pending_full) == 3; }));
  CHECK(at.notes().all.size() == 5);
}

HINGE_TEST_CASE("door: what a pending connection sends first is heard in order", backends) {
  house at(backend, {.data = echo});
  at.base().set_door(0, {.max_pending = 1});
  const std::string text = pattern(20'000);
  for (int i = 0; i < 3; ++i) {
    client& peer = at.connect();
    peer.send(text);
    if (i != 1) peer.shutdown();
    CHECK(at.until([&] { return peer.received() == text; }));
  }
  CHECK(at.closed(close_cause::pending_full) == 0);
}

HINGE_TEST_CASE("door: a paused connection may be pending", backends) {
  house at(backend, {.accept = [](connection c) { c.pause_reading(); }});
  at.base().set_door(0, {.max_pending = 1});
  at.enter().send("later");
  at.rest();
  CHECK(at.handle(0).resume_reading());
  CHECK(at.until([&] { return at.about(0).data == "later"; }));
  at.enter();
  CHECK(at.closed(close_cause::pending_full) == 0);
}

HINGE_TEST_CASE("door: new connections a second", backends) {
  house at(backend);
  at.base().set_door(0, {.new_connections = {.per_second = 1, .burst = 2}});
  for (int i = 0; i < 5; ++i) at.connect();
  CHECK(at.until([&] { return at.counters().accepted == 5; }));
  CHECK(at.closed(close_cause::listener_rate) >= 2);
  CHECK(at.notes().all.size() >= 2);
  CHECK(at.notes().all.size() + at.closed(close_cause::listener_rate) == 5);
}

HINGE_TEST_CASE("door: what one source may have at a time, on all listeners", backends) {
  house at(backend, {}, {.source = {.max_connections = 2}}, 2);
  at.enter(0);
  at.enter(1);
  at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::source_full) == 1; }));
  CHECK(at.handle(1).abort());
  CHECK(at.until([&] { return at.about(1).closes == 1; }));
  at.enter(0);
  CHECK(at.notes().all.size() == 3);
  CHECK(at.base().open_connections() == 2);
}

HINGE_TEST_CASE("door: what one source may open a second", backends) {
  house at(backend, {}, {.source = {.new_connections = {.per_second = 1, .burst = 1}}});
  for (int i = 0; i < 4; ++i) at.connect();
  CHECK(at.until([&] { return at.counters().accepted == 4; }));
  CHECK(at.closed(close_cause::source_rate) >= 2);
  CHECK(at.notes().all.size() >= 1);
}

HINGE_TEST_CASE("door: a source and its network have limits of their own", backends) {
  house at(backend, {},
           {.source = {.max_connections = 3},
            .source_network = {.max_connections = 2, .ipv4_prefix = 24, .ipv6_prefix = 48}},
           2);
  at.enter(0);
  at.enter(1);
  for (int i = 0; i < 4; ++i) at.connect(0);
  CHECK(at.until([&] { return at.closed(close_cause::network_full) == 4; }));
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  // Of those who were turned away the source has counted none.
  at.enter(1);
  CHECK(at.closed(close_cause::source_full) == 0);
  CHECK(at.notes().all.size() == 3);
  CHECK(at.base().open_connections() == 2);
}

HINGE_TEST_CASE("door: what a network may open a second", backends) {
  house at(backend, {},
           {.source_network = {.new_connections = {.per_second = 1, .burst = 1},
                               .ipv4_prefix = 24,
                               .ipv6_prefix = 48}});
  for (int i = 0; i < 4; ++i) at.connect();
  CHECK(at.until([&] { return at.counters().accepted == 4; }));
  CHECK(at.closed(close_cause::network_rate) >= 2);
  CHECK(at.notes().all.size() >= 1);
}

HINGE_TEST_CASE("door: who is over a network's limit takes nothing of the source's rate",
                backends) {
  house at(backend, {},
           {.source = {.new_connections = {.per_second = 1, .burst = 3}},
            .source_network = {.max_connections = 1, .ipv4_prefix = 24, .ipv6_prefix = 48}});
  at.enter();
  for (int i = 0; i < 5; ++i) at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::network_full) == 5; }));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(at.handle(i).close());
    CHECK(at.until([&] { return at.about(i).closes == 1; }));
    at.enter();
  }
  CHECK(at.closed(close_cause::source_rate) == 0);
}

HINGE_TEST_CASE("door: who is turned away may be reset", backends) {
  house at(backend, {}, {.reset_turned_away = true});
  at.base().set_door(0, {.rules = rules({}, {"127.0.0.0/8"})});
  at.connect();
  CHECK(at.until([&] { return at.peers[0]->was_reset(); }));
  CHECK(at.closed(close_cause::denied) == 1);
}

HINGE_TEST_CASE("door: a rate that is taken away holds nobody up, a new one begins anew",
                backends) {
  house at(backend);
  at.base().set_door(0, {.new_connections = {.per_second = 1, .burst = 1}});
  at.enter();
  at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::listener_rate) == 1; }));
  at.base().set_door(0, {.rules = rules({}, {"10.0.0.0/8"})});
  at.enter();
  at.enter();
  at.base().set_door(0, {.new_connections = {.per_second = 1, .burst = 2}});
  at.enter();
  CHECK(at.notes().all.size() == 4);
}

HINGE_TEST_CASE("door: who is over a source's limit takes nothing of the listener's rate",
                backends) {
  house at(backend, {}, {.source = {.max_connections = 1}});
  at.base().set_door(0, {.new_connections = {.per_second = 1, .burst = 2}});
  at.enter();
  for (int i = 0; i < 5; ++i) at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::source_full) == 5; }));
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  at.enter();
  CHECK(at.closed(close_cause::listener_rate) == 0);
}

HINGE_TEST_CASE("door: a limit counts those who were there before it", backends) {
  house at(backend);
  at.enter().send("spoken");
  CHECK(at.until([&] { return at.about(0).data == "spoken"; }));
  at.enter();
  at.base().set_door(0, {.max_pending = 1});
  at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::pending_full) == 1; }));
  at.base().set_door(0, {.max_connections = 2});
  at.connect();
  CHECK(at.until([&] { return at.closed(close_cause::listener_full) == 1; }));
  CHECK(at.handle(0).close());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  at.enter();
  CHECK(at.base().open_connections() == 2);
}

HINGE_TEST_CASE("door: who is finished as soon as it is accepted leaves its place", backends) {
  house at(backend, {.accept = [](connection c) { c.finish(bytes_of("next")); }},
           {.source = {.max_connections = 1}});
  at.base().set_door(0, {.max_connections = 1});
  for (std::uint64_t i = 1; i <= 5; ++i) {
    at.connect();
    CHECK(at.until([&] { return at.counters().closed_total() == i; }));
  }
  CHECK(at.closed(close_cause::local_close) == 5);
}
