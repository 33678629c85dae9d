// The rules of the seam, on the poller alone: changes in, events out. docs/POLLER_CONTRACT.md has
// the rules and names these cases.
#include "conformance/seam.hpp"

#include <thread>

using namespace hinge;
using namespace hinge::test;

HINGE_TEST_CASE("rule 1: changes apply in order", backends) {
  seam at(backend);
  const auto peer = at.where.connect(at.door.local());
  const change start = on_listener(at.door, operation::accept);
  const change stop = on_listener(at.door, operation::stop_accept);

  at.turn({start, stop}, 64, 0);
  at.rest(0);
  CHECK(at.seen.empty());

  // Stopped: who comes now waits. What was taken before is told, by who may have taken it.
  const auto late = at.where.connect(at.door.local());
  at.rest();
  const std::size_t taken = at.accepted().size();
  CHECK(taken <= (at.where.takes_ahead() ? 1 : 0));
  CHECK(at.seen.size() == taken);

  at.turn({start, stop, start});
  CHECK(at.until([&] { return at.accepted().size() == 2; }));
  CHECK(at.count(event_kind::failed) == 0);
}

HINGE_TEST_CASE("rule 1: a failed change comes back as an event, the others apply", backends) {
  seam at(backend);
  const auto peer = at.where.connect(at.door.local());
  int closed;
  {
    const listener soon_closed = *listener::open(address::loopback(0));
    closed = soon_closed.fd();
  }
  const token nobody(role::connection, 77, 1);
  at.turn({{.subject = nobody, .fd = closed}, on_listener(at.door, operation::accept)});
  REQUIRE(at.count(nobody) == 1);
  // Or as the end of the operation, where it is the kernel's own answer.
  const bool ended = backend.completes && at.count(event_kind::failed) == 0;
  const event& answer = at.last(ended ? event_kind::received : event_kind::failed);
  CHECK(answer.subject == nobody);
  CHECK(answer.result < 0);
  CHECK(answer.more == 0);
  CHECK(answer.buffer == (ended ? no_buffer : static_cast<std::uint16_t>(operation::receive)));
  CHECK(at.until([&] { return at.accepted().size() == 1; }));
  at.where.forgive();
}

HINGE_TEST_CASE("rule 1: what is started already fails, and goes on", backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.receive(), one.receive(), on_listener(at.door, operation::accept)});
  CHECK(at.count(one.subject, event_kind::failed) == 1);
  CHECK(at.count(event_kind::failed) == 2);
  at.where.forgive();

  one.peer->send("still there");
  CHECK(at.until([&] { return at.text[one.subject.bits()] == "still there"; }));
  CHECK(at.connect().fd >= 0);
}

HINGE_TEST_CASE("rule 1: a turn that breaks tells first what its changes came to",
                readiness_backends) {
  seam at(backend);
  auto one = at.connect();
  auto other = at.connect();
  at.turn({one.receive(), other.receive()});
  {
    const broken_waits while_here(ENOMEM);
    at.turn({one.receive(), other.detach()});
  }
  CHECK(at.count(one.subject, event_kind::failed) == 1);
  CHECK(at.count(other.subject, event_kind::detached) == 1);
  at.where.forgive();
}

HINGE_TEST_CASE("rule 1: without room for each answer and two more nothing is applied", backends) {
  seam at(backend);
  const std::array changes = {on_listener(at.door, operation::accept),
                              on_listener(at.door, operation::stop_accept)};
  std::array<event, 3> too_few;
  turn_terms terms{.accept_room = 1, .now = at.now};
  CHECK(at.poller->turn(changes, too_few, terms) == -EINVAL);
  at.turn({changes[0]}, 4);
  CHECK(at.count(event_kind::failed) == 0);
}

HINGE_TEST_CASE("rule 2: never more events than room, and none is lost", backends) {
  seam at(backend);
  std::vector<accepted_connection> all;
  for (int i = 0; i < 8; ++i) all.push_back(at.connect());
  for (const auto& one : all) at.turn({one.receive()}, 4, 0);
  for (const auto& one : all) one.peer->send("x" + std::to_string(one.subject.slot()));
  CHECK(at.until(
      [&] {
        return std::all_of(all.begin(), all.end(), [&](const auto& one) {
          return at.text[one.subject.bits()] == "x" + std::to_string(one.subject.slot());
        });
      },
      least_event_room));
}

HINGE_TEST_CASE("rule 2: a flood of reads doesn't starve the accepts", backends) {
  seam at(backend);
  std::vector<accepted_connection> flood;
  for (int i = 0; i < 8; ++i) flood.push_back(at.connect());
  for (const auto& one : flood) at.turn({one.receive()});
  std::vector<std::unique_ptr<client>> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(at.where.connect(at.door.local()));

  const std::size_t before = at.accepted().size();
  std::size_t turns = 0;
  for (; turns < 100 && at.accepted().size() < before + waiting.size(); ++turns) {
    for (const auto& one : flood) one.peer->send("more");
    const auto recycled = at.recycle_all();
    at.turn(recycled, recycled.size() + 4, 2, false);
  }
  CHECK(turns < 100);
}

HINGE_TEST_CASE("rule 3: received bytes stay until they are given back", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  auto other = at.connect();
  at.turn({one.receive(), other.receive()});
  one.peer->send("first");
  CHECK(at.until([&] { return at.lent.size() == 1; }));
  const event kept = at.last(event_kind::received);
  at.lent.clear();  // this one stays with us

  // More traffic than there are buffers.
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    other.peer->send("other");
    expected += "other";
    CHECK(at.until([&] { return at.text[other.subject.bits()] == expected; }));
    at.turn(at.recycle_all());
    REQUIRE(at.buffer_text(kept) == "first");
  }
  at.lent.push_back(kept.buffer);
  at.turn(at.recycle_all());
}

HINGE_TEST_CASE("rule 3: an empty pool parks receivers until a buffer comes back",
                completion_backends) {
  seam at(backend, {.accepts_per_turn = 4, .receive_buffers = 2, .receive_buffer_bytes = 16});
  auto one = at.connect();
  at.turn({one.receive()});
  const std::string sent(100, 'p');
  one.peer->send(sent);
  CHECK(at.until([&] { return at.lent.size() == 2; }));
  at.rest();
  CHECK(at.text[one.subject.bits()].size() == 32);
  for (int i = 0; i < 10 && at.text[one.subject.bits()] != sent; ++i) {
    at.turn(at.recycle_all());
    at.until([&] { return at.lent.size() == 2 || at.text[one.subject.bits()] == sent; });
  }
  CHECK(at.text[one.subject.bits()] == sent);
  at.turn(at.recycle_all());
}

HINGE_TEST_CASE("rule 3: unreceived bytes stay in the kernel", readiness_backends) {
  seam at(backend);
  CHECK(at.limits.buffers == nullptr);
  auto one = at.connect();
  at.leave_unread(one);
  at.turn({one.receive()});
  one.peer->send("abc");
  at.rest();
  one.peer->send("def");
  at.rest();
  std::array<std::byte, 16> into;
  CHECK(sockets::receive(one.fd, into) == 6);
}

HINGE_TEST_CASE("rule 4: after `detached` no event carries the token", backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.receive()});
  one.peer->send("before");
  at.turn({one.detach()});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
  CHECK(at.last(event_kind::detached).result == detach_result::released);

  one.peer->send("after");
  one.peer->shutdown();
  const std::size_t events = at.count(one.subject);
  at.rest();
  CHECK(at.count(one.subject) == events);
  CHECK(at.where.is_open(one.fd));
}

HINGE_TEST_CASE("rule 10: a close travels with the batch, and is not answered",
                completion_backends) {
  seam at(backend);
  auto one = at.connect();
  const int fd = one.fd;
  at.turn({one.receive()});
  at.turn({one.detach()});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
  CHECK(at.last(event_kind::detached).result == detach_result::released);
  CHECK(at.where.is_open(fd));
  const std::size_t events = at.seen.size();
  at.turn({{.fd = fd, .what = operation::close}}, 64, 0, false);
  at.was_closed(one);
  CHECK_FALSE(at.where.is_open(fd));
  CHECK(at.seen.size() == events);
  CHECK(at.until([&] {
    one.peer->listen_in();
    return one.peer->ended();
  }));
}

HINGE_TEST_CASE("rule 4: what was never registered detaches too", backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.detach()});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
  CHECK(at.count(event_kind::failed) == 0);
}

HINGE_TEST_CASE("rule 4: a listener's slot serves the next listener", backends) {
  seam at(backend);
  at.turn({on_listener(at.door, operation::accept)});
  at.turn({on_listener(at.door, operation::detach)});
  CHECK(at.until([&] { return at.count(event_kind::detached) == 1; }));
  const listener next = *listener::open(address::loopback(0));
  at.turn({on_listener(next, operation::accept, 0, 1)});
  CHECK(at.count(event_kind::failed) == 0);
  const auto peer = at.where.connect(next.local());
  REQUIRE(at.until([&] { return at.accepted().size() == 1; }));
  CHECK(at.last(event_kind::accepted).subject == token(role::listener, 0, 1));
  at.turn({on_listener(next, operation::detach, 0, 1)});
  CHECK(at.until([&] { return at.count(event_kind::detached) == 2; }));
}

HINGE_TEST_CASE("rule 10: a detached listener's port is free at once", backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({on_listener(at.door, operation::detach)});
  CHECK(at.until([&] { return at.count(event_kind::detached) == 1; }));
  const address where = at.door.local();
  at.door.close();
  CHECK(at.where.connect(where) == nullptr);
  CHECK(listener::open(where));
}

HINGE_TEST_CASE("rule 10: a detach ends what is under way", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  const std::string more_than_fits(8 * 1024 * 1024, 's');
  at.turn({one.receive(), one.send(more_than_fits)});
  at.rest();
  const std::size_t before = at.count(one.subject);
  at.turn({one.detach()});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
  CHECK(at.where.is_open(one.fd));
  // At most an end for each of the two, and then the last word.
  CHECK(at.count(one.subject) <= before + 3);
}

HINGE_TEST_CASE("wake: ends a wait, and waits for the next turn", backends) {
  seam at(backend);
  at.poller->wake();
  at.poller->wake();
  at.turn();
  CHECK(at.count(event_kind::woken) == 1);
  at.rest();
  CHECK(at.count(event_kind::woken) == 1);

  std::thread other([&] { at.poller->wake(); });
  std::array<event, 4> events;
  turn_terms terms{.accept_room = 0, .until = deadline::never(), .now = at.now};
  int count = 0;
  for (int turns = 0; count == 0 && turns < 100; ++turns)
    count = at.poller->turn({}, events, terms);  // may end early, but not with this event lost
  other.join();
  REQUIRE(count == 1);
  CHECK(events[0].kind == event_kind::woken);
}

HINGE_TEST_CASE("wake: errno stays as it was, for the sake of signal handlers",
                readiness_backends) {
  seam at(backend);
  sys::call_table before = sys::current;
  sys::current.write = [](int, const void*, std::size_t) noexcept -> ssize_t {
    errno = EAGAIN;
    return -EAGAIN;
  };
  sys::current.kevent = [](int, const sys::kernel_event*, sys::kernel_count, sys::kernel_event*,
                           sys::kernel_count, const timespec*) noexcept {
    errno = ENOMEM;
    return -ENOMEM;
  };
  errno = EXDEV;
  at.poller->wake();
  const int after = errno;
  sys::current = before;
  CHECK(after == EXDEV);
}

HINGE_TEST_CASE("turn: a wait without events lasts until its deadline", backends) {
  seam at(backend);
  const instant until = at.now + 20'000'000;
  std::array<event, 4> events;
  turn_terms terms{.accept_room = 0, .until = deadline::at(until), .now = at.now};
  while (at.poller->turn({}, events, terms) == 0 && terms.now < until) {
  }
  CHECK(terms.now >= until);
}
