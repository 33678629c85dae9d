// What kqueue alone can get wrong, and what it costs beside epoll.
#include "conformance/house.hpp"
#include "conformance/kqueue_world.hpp"
#include "conformance/seam.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

using namespace hinge;
using namespace hinge::test;

namespace {

/// Without surprises: they cost calls.
template <class World = kqueue_world>
tested_backend calm_kqueue() {
  tested_backend made = find_backend("kqueue");
  made.make_world = []() -> std::unique_ptr<world> {
    return std::make_unique<World>(kevent_model::calm());
  };
  return made;
}

/// Changes and waits.
bool of_backend(const call_seen& one) {
#ifdef HINGE_HAVE_EPOLL
  if (one.what == call_id::epoll_ctl || one.what == call_id::epoll_wait) return true;
#endif
  return one.what == call_id::kevent;
}

/// A wait that ended with nothing: the time's, of which a busy machine has more, and no work's.
bool waited_in_vain(const call_seen& one) {
#ifdef HINGE_HAVE_EPOLL
  if (one.what == call_id::epoll_wait) return one.result == 0;
#endif
  return one.what == call_id::kevent && one.result == 0 && one.arguments[2] == 0;
}

struct cost {
  std::uint64_t all = 0;  // system calls of the library
  std::uint64_t backend = 0;
};

template <class Work>
cost of(const tested_backend& backend, Work work) {
  house at(backend, {.data = echo});
  at.rest();
  at.where.calls().start_log();
  at.where.calls().clear_log();
  work(at);
  cost made;
  for (const call_seen& one : at.where.calls().log()) {
    if (one.what == call_id::clock_gettime || waited_in_vain(one)) continue;
    ++made.all;
    if (of_backend(one)) ++made.backend;
  }
  return made;
}

constexpr int repeats = 50;

/// Connections, one after the other, that send nothing and are closed by the server.
cost of_accepting(const tested_backend& backend) {
  return of(backend, [](house& at) {
    at.notes().does.accept = [](connection c) { c.close(); };
    for (int i = 0; i < repeats; ++i) {
      at.enter();
      at.peers.clear();
    }
  });
}

/// Messages on a kept connection.
cost of_echoing(const tested_backend& backend) {
  return of(backend, [](house& at) {
    client& peer = at.enter();
    for (std::size_t i = 1; i <= repeats; ++i) {
      peer.send("message");
      REQUIRE(at.until([&] { return peer.received().size() == 7 * i; }));
    }
  });
}

/// The same, and each answer is acknowledged before the next message.
cost of_being_heard(const tested_backend& backend) {
  return of(backend, [](house& at) {
    client& peer = at.enter();
    for (std::size_t i = 1; i <= repeats; ++i) {
      peer.send("message");
      REQUIRE(at.until([&] { return peer.received().size() == 7 * i; }));
      peer.acknowledge();
      at.turn();
    }
  });
}

/// Connections, one after the other, that send two messages and are closed by the client.
cost of_serving(const tested_backend& backend) {
  return of(backend, [](house& at) {
    for (std::size_t i = 1; i <= repeats; ++i) {
      client& peer = at.enter();
      for (const std::size_t bytes : {7, 14}) {
        peer.send("message");
        REQUIRE(at.until([&] { return peer.received().size() == bytes; }));
      }
      at.peers.clear();
      REQUIRE(at.until([&] { return at.closed(close_cause::peer_closed) == i; }));
    }
  });
}

}  // namespace

TEST_CASE("kqueue: accepting, echoing and serving take no more calls than on epoll") {
  const auto all = readiness_backends();
  if (std::none_of(all.begin(), all.end(), [](const auto& one) { return one.name == "epoll"; }))
    SKIP("no epoll to compare with");
  const auto work = GENERATE(of_accepting, of_echoing, of_being_heard, of_serving);
  const cost epoll = work(find_backend("epoll"));
  const cost kqueue = work(calm_kqueue());
  CAPTURE(kqueue.all, kqueue.backend, epoll.all, epoll.backend);
  CHECK(kqueue.all <= epoll.all);
  CHECK(kqueue.backend <= epoll.backend);
  CHECK(kqueue.backend >= repeats);
}

// A long message and a pause leave open whether all was read; that must cost no more than they do.
TEST_CASE("kqueue: a message is one receive, also after a long one and after a pause") {
  const bool counts = GENERATE(true, false);
  house at(counts ? calm_kqueue() : calm_kqueue<libkqueue_world>(), {.data = echo});
  client& peer = at.enter();
  const auto exchange = [&](std::size_t bytes) {
    const std::size_t all = peer.received().size() + bytes;
    std::size_t given = 0;
    while (given < bytes) {
      const std::size_t sent = peer.send(pattern(bytes - given));
      given += sent;
      if (sent == 0 || bytes < 1000) break;
    }
    REQUIRE(at.until([&] {
      if (given < bytes) given += peer.send(pattern(bytes - given));
      return peer.received().size() == all;
    }));
  };
  const auto check = [&](const char* after) {
    CAPTURE(after, counts);
    const std::uint64_t receives = at.where.calls().count(call_id::recv);
    const std::uint64_t polls = at.where.calls().count(call_id::poll);
    for (int i = 0; i < 10; ++i) exchange(7);
    CHECK(at.where.calls().count(call_id::recv) - receives == 10);
    // libkqueue doesn't say what lies behind urgent data.
    CHECK(at.where.calls().count(call_id::poll) - polls == (counts ? 0 : 10));
  };
  exchange(7);
  at.rest(2);
  check("a short one");
  exchange(200'000);
  at.rest(2);
  check("a long one");

  at.notes().does.data = [](connection c, std::span<std::byte> bytes) {
    c.send(bytes);
    c.pause_reading();
  };
  for (int i = 0; i < 3; ++i) {
    peer.send(pattern(100'000));
    at.rest(2);
    at.handle(0).resume_reading();
    at.rest(2);
  }
  at.notes().does.data = echo;
  at.handle(0).resume_reading();
  at.rest(20);
  check("a pause");
}

TEST_CASE("kqueue: a turn is one kevent, with its changes") {
  seam at(calm_kqueue());
  auto one = at.connect();
  const std::uint64_t before = at.where.calls().count(call_id::kevent);
  at.turn({one.receive(), on_listener(at.door, operation::stop_accept)});
  CHECK(at.where.calls().count(call_id::kevent) == before + 1);
}

// EV_ADD is two changes a connection, and each may need a slot to say why it failed.
TEST_CASE("kqueue: more changes than room for events are all applied") {
  seam at(find_backend("kqueue"));
  std::vector<accepted_connection> all;
  for (int i = 0; i < 40; ++i) all.push_back(at.connect());
  std::vector<change> changes;
  const int closed = ::dup(0);
  ::close(closed);
  for (std::uint32_t i = 0; i < 600; ++i)
    changes.push_back({.subject = token(role::connection, 100 + i, 1), .fd = closed});
  for (std::size_t i = 0; i < all.size(); ++i)
    changes.insert(changes.begin() + static_cast<std::ptrdiff_t>(i * 15), all[i].receive());
  at.turn(changes, changes.size() + least_event_room, 0);
  CHECK(at.count(event_kind::failed) == 600);
  for (std::uint32_t i = 0; i < 600; ++i)
    CHECK(at.count(token(role::connection, 100 + i, 1), event_kind::failed) == 1);
  for (const auto& one : all) one.peer->send("here");
  CHECK(at.until([&] {
    return std::all_of(all.begin(), all.end(),
                       [&](const auto& one) { return at.text[one.subject.bits()] == "here"; });
  }));
  for (const auto& one : all) at.turn({one.detach()});
  CHECK(at.count(event_kind::detached) == all.size());
}

TEST_CASE("kqueue: a call that failed as a whole answers its changes, and leaves nothing behind") {
  seam at(calm_kqueue());
  auto one = at.connect();
  auto other = at.connect();
  at.turn({one.receive()});
  const change again = {.subject = token(role::connection, 9, 1), .fd = one.fd};
  {
    const broken_waits while_here(ENOMEM);
    // One that is answered without the kernel, two that are not, one that ends.
    at.turn({one.receive(), other.receive(), on_listener(at.door, operation::accept, 1), again,
             one.detach()});
  }
  CHECK(at.count(one.subject, event_kind::failed) == 1);
  CHECK(at.count(one.subject, event_kind::detached) == 1);
  CHECK(at.count(other.subject, event_kind::failed) == 1);
  CHECK(at.count(again.subject, event_kind::failed) == 1);
  CHECK(at.count(token(role::listener, 1, 0), event_kind::failed) == 1);
  CHECK(at.count(event_kind::failed) == 4);
  CHECK(at.last(event_kind::failed).result == -ENOMEM);
  const std::size_t before = at.seen.size();
  one.peer->send("to nobody");
  at.rest();
  CHECK(at.seen.size() == before);

  at.turn({other.receive()});
  other.peer->send("not lost");
  CHECK(at.until([&] { return at.text[other.subject.bits()] == "not lost"; }));
}

// A turn that fails must not leave answers to one that has no room for them.
TEST_CASE("kqueue: after a call that failed as a whole the least room is enough") {
  seam at(calm_kqueue());
  std::vector<change> changes;
  const int closed = ::dup(0);
  ::close(closed);
  for (std::uint32_t i = 0; i < 700; ++i)
    changes.push_back({.subject = token(role::connection, i, 1), .fd = closed});
  {
    const broken_waits while_here(ENOMEM);
    at.turn(changes, changes.size() + least_event_room, 0);
    CHECK(at.count(event_kind::failed) == changes.size());
    std::array<event, least_event_room> none;
    turn_terms terms{.now = at.now};
    CHECK(at.poller->turn({}, none, terms) == -ENOMEM);
  }
  at.turn({}, least_event_room, 0, false);
  CHECK(at.count(event_kind::failed) == changes.size());
}

// libkqueue answers nothing, and waits, where there are more slots than changes.
TEST_CASE("kqueue: receipts are asked for in calls for them alone") {
  seam at(calm_kqueue());
  std::array known = {at.connect(), at.connect(), at.connect(), at.connect()};
  std::vector<change> ends;
  for (auto& one : known) {
    at.turn({one.receive()});
    ends.push_back(one.detach());
  }
  {
    const broken_waits while_here(ENOMEM);
    at.turn(ends, ends.size() + least_event_room, 0);
  }
  CHECK(at.count(event_kind::detached) == known.size());
  kevent_model::forget_changes();
  at.turn({}, 64, 0, false);
  CHECK(kevent_model::changes().size() == known.size());
  for (const auto& one : kevent_model::changes()) CHECK((one.flags & EV_RECEIPT) == 0);
}

TEST_CASE("kqueue: a generation of 0 is one like any other") {
  seam at(calm_kqueue());
  auto one = at.connect();
  one.subject = token(role::connection, 5, 0);
  at.turn({one.receive()});
  CHECK(at.count(event_kind::failed) == 0);
  one.peer->send("heard");
  CHECK(at.until([&] { return at.count(one.subject, event_kind::readable) != 0; }));
}

TEST_CASE("kqueue: what fails late of a listener is not the next one's") {
  seam at(calm_kqueue());
  const listener next = *listener::open(address::loopback(0));
  const int closed = ::dup(0);
  ::close(closed);
  change dead = on_listener(next, operation::accept, 3, 1);
  dead.fd = closed;
  change stopped = dead;
  stopped.what = operation::stop_accept;
  // A stop of a generation that has gone stops nobody, either.
  at.turn({dead, stopped, on_listener(next, operation::accept, 3, 2), stopped}, 64, 0, false);
  CHECK(at.count(event_kind::failed) == 0);
  const auto peer = at.where.connect(next.local());
  CHECK(at.until([&] { return at.accepted().size() == 1; }));
}

// FreeBSD: a socket that has an error and no end.
TEST_CASE("kqueue: an error without EV_EOF ends a connection, also in a pause") {
  tested_backend on = find_backend("kqueue");
  on.make_world = []() -> std::unique_ptr<world> {
    kevent_model::behaviour how;
    how.errors_lack_end = true;
    return std::make_unique<kqueue_world>(how);
  };
  const bool paused = GENERATE(false, true);
  house at(on, {.data = echo});
  client& peer = at.enter();
  peer.send("x");
  CHECK(at.until([&] { return peer.received() == "x"; }));
  if (paused) at.handle(0).pause_reading();
  at.rest(2);
  peer.reset();
  CHECK(at.until([&] { return at.about(0).closes == 1; }, 50));
  CHECK(at.about(0).cause == close_cause::peer_reset);
}

// Between the report and the accept the peer may have gone.
TEST_CASE("kqueue: a listener that has nobody after all goes on") {
  tested_backend on = find_backend("kqueue");
  on.make_world = []() -> std::unique_ptr<world> {
    return std::make_unique<kqueue_world>(kevent_model::behaviour{.listeners_lie = true});
  };
  house at(on, {.data = echo});
  at.rest(100);
  CHECK(at.where.empty_accepts() > 0);
  client& peer = at.enter();
  peer.send("x");
  CHECK(at.until([&] { return peer.received() == "x"; }));
  CHECK(at.counters().accept_retries == 0);
}

// Otherwise each ACK is an event, and a kevent for it alone.
TEST_CASE("kqueue: writing is watched for when the socket was full, and no longer") {
  house at(calm_kqueue(), {.data = echo});
  const auto watches = [] {
    const auto& all = kevent_model::changes();
    return std::count_if(all.begin(), all.end(), [](const auto& one) {
      return one.filter == EVFILT_WRITE && (one.flags & EV_ADD) != 0;
    });
  };
  at.enter();
  const auto exchange = [&](std::size_t all) {
    at.peers[0]->send("x");
    CHECK(at.until([&] { return at.peers[0]->received().size() == all; }));
    at.rest();
  };
  exchange(1);
  CHECK(watches() == 0);
  std::unique_ptr<client> away = at.take_away(0);
  const std::string block = pattern(65536);
  std::size_t sent = 1;
  for (; at.handle(0).queued_bytes() == 0; sent += block.size())
    REQUIRE(at.handle(0).send(bytes_of(block)));
  at.rest();
  CHECK(watches() != 0);
  at.peers[0] = std::move(away);
  CHECK(at.until([&] { return at.peers[0]->received().size() == sent; }));
  const auto before = watches();
  exchange(sent + 1);
  CHECK(watches() == before);
}

// The write filter says EV_EOF then.
TEST_CASE("kqueue: one's own end is not the peer's") {
  seam at(calm_kqueue());
  auto one = at.connect();
  at.turn({one.receive()});
  at.rest();
  const std::size_t before = at.count(one.subject);
  CHECK(sockets::shutdown_write(one.fd) == 0);
  at.turn({one.send({})});
  CHECK(at.until([&] { return at.count(one.subject) > before; }));
  for (const event& e : at.seen) {
    if (e.subject == one.subject) CHECK((e.result & (readiness::end | readiness::error)) == 0);
  }
}
