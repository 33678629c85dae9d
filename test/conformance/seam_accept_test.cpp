// The rules of the seam about accepting and writing, on the poller alone.
#include "conformance/seam.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>

using namespace hinge;
using namespace hinge::test;

namespace {

std::vector<std::unique_ptr<client>> crowd(seam& at, int count) {
  std::vector<std::unique_ptr<client>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(at.where.connect(at.door.local()));
    REQUIRE(all.back());
  }
  return all;
}

}  // namespace

HINGE_TEST_CASE("rule 5: without descriptors accepting stops by itself", backends) {
  seam at(backend);
  const auto waiting = crowd(at, 2);
  at.where.exhaust_descriptors();
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.count(event_kind::accepted) == 1; }));
  CHECK(at.last(event_kind::accepted).result == -EMFILE);
  CHECK(at.last(event_kind::accepted).more == 0);

  // It is not even tried, though they still wait.
  const std::uint64_t tried = at.where.accepts();
  at.rest();
  CHECK(at.count(event_kind::accepted) == 1);
  CHECK(at.where.accepts() == tried);

  at.where.restore_descriptors();
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.accepted().size() == 2; }));
  CHECK(at.count(event_kind::failed) == 0);
}

HINGE_TEST_CASE("rule 5: every lack and every unknown errno disarms", backends) {
  const int code = GENERATE(EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM);
  CAPTURE(code);
  seam at(backend);
  const auto waiting = crowd(at, 1);
  at.where.fail_next_accept(code);
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.count(event_kind::accepted) == 1; }));
  CHECK(at.last(event_kind::accepted).result == -code);
  CHECK(at.last(event_kind::accepted).more == 0);
  at.rest();
  CHECK(at.accepted().empty());
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.accepted().size() == 1; }));
}

HINGE_TEST_CASE("rule 5: a lost connection is told, and the next one comes", backends) {
  const int code = GENERATE(ECONNABORTED, EPROTO, EINTR, ENETDOWN, EOPNOTSUPP);
  CAPTURE(code);
  seam at(backend);
  const auto waiting = crowd(at, 2);
  at.where.fail_next_accept(code);
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.accepted().size() == 2; }));
  REQUIRE(at.count(event_kind::accepted) == 3);
  for (const event& e : at.seen) {
    if (e.kind != event_kind::accepted || e.result >= 0) continue;
    CHECK(e.result == -code);
    CHECK(e.more == 1);
  }
}

HINGE_TEST_CASE("rule 10: whom a backend has accepted it tells before it detaches a listener",
                backends) {
  const std::uint32_t room = GENERATE(1, 2, 3);
  seam at(backend);
  const auto waiting = crowd(at, 5);
  at.turn({on_listener(at.door, operation::accept)}, 64, room);
  at.turn({}, 64, room);
  at.turn({on_listener(at.door, operation::detach)}, 64, room);
  REQUIRE(at.until([&] { return at.count(event_kind::detached) == 1; }, 64, room));
  // The others still wait in the listener's queue, and nobody was closed.
  const std::size_t told = at.accepted().size();
  at.turn({on_listener(at.door, operation::accept, 0, 1)});
  CHECK(at.until([&] { return at.accepted().size() == 5; }));
  for (std::size_t i = 0; i < at.seen.size(); ++i)
    if (at.seen[i].kind == event_kind::detached)
      CHECK(std::ranges::count(at.seen.begin(), at.seen.begin() + static_cast<std::ptrdiff_t>(i),
                               event_kind::accepted,
                               &event::kind) == static_cast<std::ptrdiff_t>(told));
  for (const auto& one : waiting) {
    one->listen_in();
    CHECK_FALSE(one->ended());
    CHECK_FALSE(one->was_reset());
  }
  at.turn({on_listener(at.door, operation::detach, 0, 1)});
  CHECK(at.until([&] { return at.count(event_kind::detached) == 2; }));
}

HINGE_TEST_CASE("rule 6: no more connections are told than the table has room for", backends) {
  seam at(backend);
  const auto waiting = crowd(at, 6);
  at.turn({on_listener(at.door, operation::accept)}, 64, 0);
  at.rest(0);
  CHECK(at.accepted().empty());
  for (std::size_t i = 1; i <= waiting.size(); ++i) {
    CHECK(at.until([&] { return at.accepted().size() == i; }, 64, 1));
    at.rest(0);
    CHECK(at.accepted().size() == i);
  }
}

HINGE_TEST_CASE("rule 7: accepts per turn are bounded, and all come", backends) {
  seam at(backend, {.accepts_per_turn = 3, .receive_buffers = 2, .receive_buffer_bytes = 16});
  const auto waiting = crowd(at, 20);
  at.turn({on_listener(at.door, operation::accept)}, 64, 0);
  std::size_t most = 0;
  for (std::size_t before = 0; before < waiting.size() && most <= 3;) {
    REQUIRE(at.until([&] { return at.accepted().size() > before; }));
    most = std::max(most, at.accepted().size() - before);
    before = at.accepted().size();
  }
  CHECK(most <= 3);
  CHECK(at.accepted().size() == waiting.size());
}

HINGE_TEST_CASE("rule 7: what is accepted is a descriptor of the process, and stays open",
                backends) {
  seam at(backend);
  const auto waiting = crowd(at, 40);
  at.turn({on_listener(at.door, operation::accept)});
  REQUIRE(at.until([&] { return at.accepted().size() == waiting.size(); }));
  at.rest();
  std::vector<int> all = at.accepted();
  for (const int fd : all) CHECK(at.where.is_as_accepted(fd));
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
  for (const auto& peer : waiting) {
    peer->listen_in();
    CHECK_FALSE(peer->ended());
    CHECK_FALSE(peer->was_reset());
  }
}

HINGE_TEST_CASE("rule 7: accept is never called only to hear EAGAIN", backends) {
  seam at(backend);
  std::vector<accepted_connection> all;
  for (int i = 0; i < 20; ++i) all.push_back(at.connect());
  const auto waiting = crowd(at, 30);
  CHECK(at.until([&] { return at.accepted().size() == 50; }));
  CHECK(at.where.empty_accepts() == 0);
}

HINGE_TEST_CASE("rule 7: peers have the name that the client has", backends) {
  seam at(backend);
  const auto waiting = crowd(at, 1);
  at.turn({on_listener(at.door, operation::accept)});
  CHECK(at.until([&] { return at.accepted().size() == 1; }));
  const event& e = at.last(event_kind::accepted);
  REQUIRE(e.buffer < seam::small.accepts_per_turn);
  const address told = address::from(at.limits.peers[e.buffer]);
  // Who doesn't know says so, and the loop asks.
  if (told.family() != family::none) CHECK(told == *sockets::peer_of(e.result));
}

HINGE_TEST_CASE("rule 8: one registration serves both directions for good", readiness_backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.receive()});
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    one.peer->send("message");
    expected += "message";
    CHECK(at.until([&] { return at.text[one.subject.bits()] == expected; }));
  }
  const std::vector<std::byte> block(65536);
  int sent = 0;
  while ((sent = sockets::send(one.fd, block)) > 0) {
  }
  REQUIRE(sockets::would_block(sent));
  const auto writable = [&] {
    one.peer->listen_in();
    return std::any_of(at.seen.begin(), at.seen.end(), [&](const event& e) {
      return e.subject == one.subject && (e.result & readiness::out) != 0;
    });
  };
  if (at.limits.asks_to_send) {
    at.turn({one.send({})});
    CHECK(at.count(event_kind::failed) == 0);
  }
  at.rest();
  at.seen.clear();
  CHECK(at.until(writable));
  CHECK(sockets::send(one.fd, block) > 0);
  CHECK(at.where.registrations() == 1);
}

HINGE_TEST_CASE("rule 8: an end and a reset are told without being asked for", readiness_backends) {
  seam at(backend);
  auto ends = at.connect();
  auto resets = at.connect();
  at.turn({ends.receive(), resets.receive()});
  at.leave_unread(ends);
  at.leave_unread(resets);
  at.rest();
  at.seen.clear();
  ends.peer->shutdown();
  resets.peer->reset();
  const auto told = [&](const accepted_connection& one, std::int32_t bit) {
    return std::find_if(at.seen.begin(), at.seen.end(), [&](const event& e) {
      return e.subject == one.subject && e.kind == event_kind::readable && (e.result & bit) != 0;
    });
  };
  REQUIRE(at.until([&] {
    return told(ends, readiness::end) != at.seen.end() &&
           told(resets, readiness::error) != at.seen.end();
  }));
  const int cause = readiness::cause(told(resets, readiness::error)->result);
  CHECK((cause != 0 ? cause : sockets::pending_error(resets.fd)) == ECONNRESET);
}

HINGE_TEST_CASE("rule 8: an armed receive goes on, and tells the end", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.receive()});
  std::string expected;
  for (std::size_t i = 0; i < 10; ++i) {
    one.peer->send("message");
    expected += "message";
    CHECK(at.until([&] { return at.text[one.subject.bits()] == expected; }));
    CHECK(at.last(event_kind::received).more == backend.receive_goes_on(0));
    at.turn(at.recycle_all());
  }
  one.peer->shutdown();
  CHECK(at.until([&] { return at.last(event_kind::received).result == 0; }));
  CHECK(at.last(event_kind::received).more == 0);
  CHECK(at.where.registrations() == (backend.receive_goes_on(0) ? 1 : 11));
}

HINGE_TEST_CASE("rule 8: a receive for one answer may end with it", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  one.peer->send("first");
  at.turn({one.receive(change::once)});
  CHECK(at.until([&] { return at.text[one.subject.bits()] == "first"; }));
  CHECK(at.last(event_kind::received).more == backend.receive_goes_on(change::once));
  one.peer->send(", second");
  CHECK(at.until([&] { return at.text[one.subject.bits()] == "first, second"; }));
  at.turn(at.recycle_all());
}

HINGE_TEST_CASE("rule 8: a watch takes no bytes, and tells an end and a reset",
                completion_backends) {
  seam at(backend);
  auto ends = at.connect();
  auto resets = at.connect();
  for (const accepted_connection* one : {&ends, &resets}) {
    one->peer->send("unread");
    at.turn({one->receive(change::watch)});
  }
  at.rest();
  CHECK(at.count(event_kind::received) == 0);
  ends.peer->shutdown();
  CHECK(at.until([&] { return at.count(ends.subject, event_kind::received) != 0; }));
  CHECK(at.last(event_kind::received).result == 0);
  CHECK(at.last(event_kind::received).buffer == no_buffer);
  resets.peer->reset();
  CHECK(at.until([&] { return at.count(resets.subject, event_kind::received) == 1; }));
  CHECK(0 > at.last(event_kind::received).result);
  CHECK(at.last(event_kind::received).buffer == no_buffer);
  CHECK(sockets::pending_error(resets.fd) == ECONNRESET);
  // The other one is still there, with its bytes and its end.
  change stop = ends.receive();
  stop.what = operation::stop_receive;
  at.turn({stop});
  CHECK(at.until([&] { return at.last(event_kind::received).more == 0; }));
  at.turn({ends.receive()});
  CHECK(at.until([&] { return at.last(event_kind::received).result == 0; }));
  CHECK(at.text[ends.subject.bits()] == "unread");
  CHECK(at.count(event_kind::failed) == 0);
  at.turn(at.recycle_all());
}

HINGE_TEST_CASE("rule 5: a stopped receive says so, and can start again", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  at.turn({one.receive()});
  change stop = one.receive();
  stop.what = operation::stop_receive;
  at.turn({stop});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::received) == 1; }));
  CHECK(at.last(event_kind::received).more == 0);
  one.peer->send("later");
  at.rest();
  CHECK(at.text[one.subject.bits()].empty());
  at.turn({one.receive()});
  CHECK(at.until([&] { return at.text[one.subject.bits()] == "later"; }));
  CHECK(at.count(event_kind::failed) == 0);
  at.turn(at.recycle_all());
}

HINGE_TEST_CASE("rule 9: a send that closes leaves with the end, and is told once",
                completion_backends) {
  seam at(backend);
  auto one = at.connect();
  const int fd = one.fd;
  const std::string first = "first part, ";
  const std::string last = "last part";
  at.turn({one.send(first, change::more_follows)});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::sent) == 1; }));
  CHECK(at.last(event_kind::sent).result == static_cast<int>(first.size()));
  at.turn({one.send(last, change::then_close)});
  at.was_closed(one);
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
  CHECK(at.last(event_kind::detached).result == detach_result::closed);
  CHECK(at.count(one.subject, event_kind::sent) == 1);
  CHECK_FALSE(at.where.is_open(fd));
  CHECK(at.until([&] {
    one.peer->listen_in();
    return one.peer->ended();
  }));
  CHECK(one.peer->received() == first + last);
  CHECK(at.where.end_was_joined(*one.peer, fd));
}

HINGE_TEST_CASE("rule 9: a send of no bytes waits until the socket takes some",
                completion_backends) {
  seam at(backend);
  auto one = at.connect();
  const std::vector<std::byte> piece(64 * 1024);
  const auto fill = [&] {
    std::size_t went = 0;
    for (int taken; (taken = sockets::send(one.fd, piece)) > 0;)
      went += static_cast<unsigned>(taken);
    at.rest();  // on their way bytes leave room behind them
    return went;
  };
  while (fill() != 0) {
  }
  at.turn({one.send("")});
  at.rest();
  CHECK(at.count(one.subject, event_kind::sent) == 0);
  // Nor does what the peer does besides say that there is room.
  one.peer->send_urgent();
  at.rest();
  one.peer->shutdown();
  at.rest();
  CHECK(at.count(one.subject, event_kind::sent) == 0);
  CHECK(at.until([&] {
    one.peer->listen_in();
    return at.count(one.subject, event_kind::sent) == 1;
  }));
  CHECK(at.last(event_kind::sent).result == 0);
  CHECK(sockets::send(one.fd, piece) > 0);
}

HINGE_TEST_CASE("rule 9: a send that can't go closes nothing", completion_backends) {
  seam at(backend);
  auto one = at.connect();
  one.peer->reset();
  at.rest();
  at.turn({one.send("lost", change::then_close)});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::sent) == 1; }));
  const event& told = at.last(event_kind::sent);
  CHECK(told.result < 0);
  CHECK(at.where.is_open(one.fd));
  at.turn({one.detach()});
  CHECK(at.until([&] { return at.count(one.subject, event_kind::detached) == 1; }));
}
