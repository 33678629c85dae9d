// A connection's life as a handler and its peer see it, on every backend alike.
#include "conformance/house.hpp"
#include "support/masked.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <linux/net_tstamp.h>
#include <sys/socket.h>

#include <algorithm>

using namespace hinge;
using namespace hinge::test;

HINGE_TEST_CASE("life: accepted, read, answered, ended by the peer", backends) {
  house at(backend, {.data = echo});
  client& peer = at.enter();
  CHECK(at.base().open_connections() == 1);
  peer.send("hello");
  CHECK(at.until([&] { return peer.received() == "hello"; }));
  peer.shutdown();
  CHECK(at.until([&] { return peer.ended(); }));
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.about(0).data == "hello");
  CHECK(at.about(0).ended);
  CHECK(at.about(0).cause == close_cause::peer_closed);
  CHECK(at.base().open_connections() == 0);
  CHECK(at.counters().bytes_in == 5);
  CHECK(at.counters().bytes_out == 5);
}

// libkqueue keeps what it knows of a closed descriptor that was not deleted.
HINGE_TEST_CASE("life: a descriptor's number that comes again hears as it did before", backends) {
  house at(backend, {.data = echo});
  int first = -1;
  for (std::size_t i = 0; i < 3; ++i) {
    client& peer = at.enter();
    if (i == 0) first = at.about(0).fd;
    CHECK((at.about(i).fd == first || backend.completes));
    for (const std::string_view text : {"hello", "hello, hello"}) {
      peer.send(text.substr(peer.received().size()));
      CHECK(at.until([&] { return peer.received() == text; }));
    }
    at.handle(i).close();
    CHECK(at.until([&] { return peer.ended(); }));
    at.peers.back()->close();
  }
}

HINGE_TEST_CASE("life: many bytes come back in order, through small buffers", backends) {
  house at(backend, {.data = echo},
           {.receive_buffer_bytes = 1024,
            .receives_per_event = 2,
            .queue_high_bytes = 4096,
            .queue_low_bytes = 1024,
            .queue_limit_bytes = 65536,
            .receive_buffers = 4,
            .ring_buffer_bytes = 1024});
  client& peer = at.enter();
  const std::string sent = pattern(1'000'000);
  std::size_t given = 0;
  CHECK(at.until(
      [&] {
        given += peer.send(std::string_view(sent).substr(given, 50'000));
        return peer.received().size() == sent.size();
      },
      20'000));
  CHECK((peer.received() == sent));
  CHECK((at.about(0).data == sent));
  peer.shutdown();
  CHECK(at.until([&] { return peer.ended(); }));
}

HINGE_TEST_CASE("life: an empty send is nothing", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) {
             CHECK(c.send(bytes.first(0)));
             CHECK(c.send(bytes));
             CHECK(c.send(bytes.last(0)));
             CHECK(c.send({}));
           }});
  client& peer = at.enter();
  peer.send("one");
  CHECK(at.until([&] { return peer.received() == "one"; }));
  peer.send("two");
  CHECK(at.until([&] { return peer.received() == "onetwo"; }));
  at.rest();
  CHECK(at.handle(0).queued_bytes() == 0);
}

HINGE_TEST_CASE("life: finish without bytes is a close", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) {
             if (bytes.front() == std::byte{'b'}) CHECK(c.send(bytes));
             CHECK(c.finish({}));
           }});
  at.enter().send("bye");
  at.enter().send("nothing");
  CHECK(at.until([&] { return at.peers[0]->ended() && at.peers[1]->ended(); }));
  CHECK(at.peers[0]->received() == "bye");
  CHECK(at.peers[1]->received() == "");
  CHECK(at.until([&] { return at.closed(close_cause::local_close) == 2; }));
}

HINGE_TEST_CASE("life: a close flushes what is queued first", backends) {
  const std::string large = pattern(4'000'000);
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte>) {
                  CHECK(c.send(bytes_of(large)));
                  CHECK(c.close());
                  CHECK_FALSE(c.is_open());
                  CHECK_FALSE(c.send(bytes_of("too late")));
                  CHECK_FALSE(c.close());
                }},
           {.queue_limit_bytes = 8 * 1024 * 1024, .queue_total_bytes = 16 * 1024 * 1024});
  client& peer = at.enter();
  peer.send("go");
  CHECK(at.until([&] { return peer.ended() || peer.was_reset(); }, 20'000));
  CHECK(peer.ended());
  CHECK((peer.received() == large));
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.about(0).cause == close_cause::local_close);
  CHECK(at.counters().stale_operations == 0);  // refused, but not stale: it was still there
}

HINGE_TEST_CASE("life: a close flushes although the peer had more to say", backends) {
  const std::string large = pattern(1'000'000);
  house at(backend,
           {.data = [&](connection c, std::span<std::byte>) { CHECK(c.finish(bytes_of(large))); }},
           {.receive_buffer_bytes = 1000,
            .receives_per_event = 1,
            .queue_limit_bytes = 2 * 1024 * 1024,
            .ring_buffer_bytes = 1000});
  at.enter();
  auto peer = at.take_away(0);
  // Nobody wants most of these; left unread they would turn the close into a reset.
  CHECK(peer->send(pattern(3000)) == 3000);
  CHECK(at.until([&] { return at.about(0).calls == 1; }));
  at.rest();
  at.peers[0] = std::move(peer);
  CHECK(at.until([&] { return at.peers[0]->ended() || at.peers[0]->was_reset(); }));
  CHECK(at.peers[0]->ended());
  CHECK((at.peers[0]->received() == large));
  CHECK(at.about(0).calls == 1);
}

HINGE_TEST_CASE("life: what comes behind a close doesn't make it a reset", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) {
             if (bytes.front() == std::byte{'x'}) c.close();
           }});
  client& peer = at.enter();
  peer.send("a");
  CHECK(at.until([&] { return at.about(0).data == "a"; }));
  peer.send("x");
  for (int turns = 0; turns < 1000 && at.about(0).data != "ax"; ++turns)
    at.running->turn(at.where.soon(at.base().now()));
  REQUIRE(at.about(0).data == "ax");
  peer.send("y");
  CHECK(at.until([&] {
    peer.listen_in();
    return peer.ended() || peer.was_reset();
  }));
  // Without a receive the close itself goes with the next batch, and in the simulator any time.
  if (backend.receive_goes_on(0) && !at.where.has_virtual_time()) CHECK(peer.ended());
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
}

HINGE_TEST_CASE("life: a close behind a send that waits loses nothing", backends) {
  const std::size_t size = GENERATE(1000, 4000);
  house at(backend, {.data = echo});
  at.enter();
  auto peer = at.take_away(0);
  std::string sent;
  for (int i = 0; i < 4000 && at.handle(0).queued_bytes() == 0; ++i) {
    const std::string part = pattern(size, sent.size());
    sent.append(part, 0, peer->send(part));
    at.rest(2);
    if (at.handle(0).queued_bytes() != 0) at.rest();  // is it only on its way?
  }
  REQUIRE(at.handle(0).queued_bytes() != 0);
  CHECK(at.handle(0).close());
  at.rest();
  peer->send(pattern(1000));
  at.rest();
  at.peers[0] = std::move(peer);
  CHECK(at.until([&] { return at.peers[0]->ended() || at.peers[0]->was_reset(); }));
  CHECK(at.peers[0]->ended());
  CHECK((at.peers[0]->received() == sent));
}

HINGE_TEST_CASE("life: a last reply has gone before an abort, and ends the connection", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) {
             CHECK(c.finish(bytes));
             CHECK_FALSE(c.abort());
           }});
  client& peer = at.enter();
  peer.send("go");
  CHECK(at.until([&] { return peer.was_reset() || peer.ended(); }));
  CHECK(peer.ended());
  CHECK(peer.received() == "go");
  CHECK(at.about(0).cause == close_cause::local_close);
}

HINGE_TEST_CASE("life: what was sent has gone before an abort, or a stop", backends) {
  // Whether a peer may still read it behind a reset is the system's affair; that it was given to
  // the socket is not.
  std::uint64_t out[2] = {};
  house at(backend,
           {.data =
                [&](connection, std::span<std::byte> bytes) {
                  // In the received buffer, and not; what was sent to 1 isn't the newest change.
                  CHECK(at.handle(1).send(bytes));
                  CHECK(at.handle(0).send(bytes));
                  CHECK(at.handle(0).abort());
                  CHECK(at.handle(1).send(bytes_of("!")));
                  at.base().stop();
                },
            .close = [&](connection c, close_cause) { out[c == at.handle(1)] = c.bytes_out(); }});
  client& aborted = at.enter();
  client& stopped = at.enter();
  aborted.send("go");
  CHECK(at.until([&] { return aborted.was_reset() && (stopped.ended() || stopped.was_reset()); }));
  CHECK(out[0] == 2);
  CHECK(out[1] == 3);
  CHECK(stopped.ended());
  CHECK(stopped.received() == "go!");
  CHECK(at.about(0).cause == close_cause::local_abort);
  CHECK(at.about(1).cause == close_cause::drain);
}

HINGE_TEST_CASE("life: more to tell the backend than fits into a turn", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) { c.finish(bytes); }},
           {.accepts_per_turn = 8, .events_per_turn = 10, .receive_buffers = 4}, 8);
  for (std::size_t i = 0; i < 48; ++i) at.connect(i % 8).send("hello");
  CHECK(at.until([&] {
    return std::all_of(at.peers.begin(), at.peers.end(),
                       [](const auto& one) { return one->ended() && one->received() == "hello"; });
  }));
  CHECK(at.counters().accepted == 48);
}

HINGE_TEST_CASE("life: an abort resets", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte>) {
             CHECK(c.abort());
             CHECK_FALSE(c.abort());
           }});
  client& peer = at.enter();
  peer.send("go");
  CHECK(at.until([&] { return peer.was_reset(); }));
  CHECK(at.about(0).cause == close_cause::local_abort);
  CHECK(at.about(0).closes == 1);
}

HINGE_TEST_CASE("life: an abort with a full queue resets", backends) {
  const std::string large = pattern(8'000'000);
  house at(backend, {.accept = [&](connection c) { CHECK(c.send(bytes_of(large))); }},
           {.queue_limit_bytes = 16 * 1024 * 1024, .queue_total_bytes = 32 * 1024 * 1024});
  at.enter();
  const auto stuck = at.take_away(0);
  at.rest();
  CHECK(at.handle(0).queued_bytes() != 0);
  CHECK(at.handle(0).abort());
  at.rest();
  CHECK(at.about(0).cause == close_cause::local_abort);
  CHECK(at.until([&] {
    stuck->listen_in();
    return stuck->was_reset() || stuck->ended();
  }));
  CHECK(stuck->was_reset());
  CHECK(stuck->received().size() < large.size());
}

HINGE_TEST_CASE("life: an abort while the last reply is stuck resets", backends) {
  const std::string large = pattern(8'000'000);
  house at(backend,
           {.data = [&](connection c, std::span<std::byte>) { CHECK(c.finish(bytes_of(large))); }},
           {.queue_limit_bytes = 16 * 1024 * 1024, .queue_total_bytes = 32 * 1024 * 1024});
  at.enter().send("go");
  CHECK(at.until([&] { return at.about(0).calls == 1; }));
  const auto stuck = at.take_away(0);
  at.rest();
  CHECK(at.handle(0).abort());
  at.rest();
  CHECK(at.about(0).cause == close_cause::local_abort);
  CHECK(at.until([&] {
    stuck->listen_in();
    return stuck->was_reset() || stuck->ended();
  }));
  CHECK(stuck->was_reset());
}

HINGE_TEST_CASE("life: half-close: the peer ends first and still gets its answer", backends) {
  house at(backend, {.end = [](connection c) {
             CHECK(c.peer_ended());
             CHECK(c.send(bytes_of("after your end")));
             CHECK(c.shutdown_write());
           }});
  client& peer = at.enter();
  peer.send("request");
  peer.shutdown();
  CHECK(at.until([&] { return peer.ended(); }));
  CHECK(peer.received() == "after your end");
  CHECK(at.about(0).data == "request");
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.about(0).cause == close_cause::peer_closed);
}

HINGE_TEST_CASE("life: half-close: this side ends first and goes on hearing", backends) {
  house at(backend, {.accept = [](connection c) {
             CHECK(c.send(bytes_of("my part")));
             CHECK(c.shutdown_write());
             CHECK_FALSE(c.shutdown_write());
             CHECK_FALSE(c.send(bytes_of("no more")));
           }});
  client& peer = at.enter();
  CHECK(at.until([&] { return peer.ended(); }));
  CHECK(peer.received() == "my part");
  peer.send("your part");
  CHECK(at.until([&] { return at.about(0).data == "your part"; }));
  CHECK(at.about(0).closes == 0);
  peer.shutdown();
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.about(0).ended);
  CHECK(at.about(0).cause == close_cause::peer_closed);
}

HINGE_TEST_CASE("life: a shutdown comes after what is queued", backends) {
  const std::string large = pattern(4'000'000);
  house at(backend,
           {.accept =
                [&](connection c) {
                  CHECK(c.send(bytes_of(large)));
                  CHECK(c.shutdown_write());
                }},
           {.queue_limit_bytes = 8 * 1024 * 1024, .queue_total_bytes = 16 * 1024 * 1024});
  client& peer = at.enter();
  CHECK(at.until([&] { return peer.ended(); }, 20'000));
  CHECK((peer.received() == large));
}

HINGE_TEST_CASE("life: a peer's reset ends the connection, whatever it was doing", backends) {
  const std::string large = pattern(8'000'000);
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte> bytes) {
                  if (bytes.front() == std::byte{'p'}) c.pause_reading();
                  if (bytes.front() == std::byte{'l'}) c.send(bytes_of(large));
                  if (bytes.front() == std::byte{'s'}) c.shutdown_write();
                  if (bytes.front() == std::byte{'f'}) c.finish(bytes_of(large));
                },
            .end = [](connection) {}},
           {.queue_limit_bytes = 16 * 1024 * 1024, .queue_total_bytes = 96 * 1024 * 1024});
  const std::string_view states = "iplsfe";
  for (const char state : states) at.enter().send(std::string(1, state));
  CHECK(at.until([&] {
    return std::all_of(at.notes().all.begin(), at.notes().all.end(),
                       [](const heard& one) { return one.calls == 1; });
  }));
  at.peers[5]->shutdown();
  CHECK(at.until([&] { return at.about(5).ended; }));
  for (std::size_t i = 0; i < states.size(); ++i) {
    CAPTURE(states[i]);
    at.peers[i]->reset();
    at.peers[i].reset();
    at.rest();
    CHECK(at.until([&] { return at.about(i).closes == 1; }));
    CHECK(at.about(i).cause == close_cause::peer_reset);
  }
}

HINGE_TEST_CASE("life: what lies in the error queue ends nothing", backends) {
  // Linux's own: what is simulated, or modelled, has none.
  const bool has_queue = backend.name.find("simulated") == backend.name.npos &&
                         backend.name.find("kqueue") == backend.name.npos;
  house at(backend, {.accept = [has_queue](connection c) {
             const int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
             if (has_queue)
               ::setsockopt(c.fd(), SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps);
             CHECK(c.pause_reading());
           }});
  client& peer = at.enter();
  at.rest();
  CHECK(at.handle(0).send(bytes_of("stamped")));
  CHECK(at.until([&] { return peer.received() == "stamped"; }));
  at.rest();
  CHECK(at.about(0).closes == 0);
  peer.send("question");
  CHECK(at.handle(0).resume_reading());
  CHECK(at.until([&] { return at.about(0).data == "question"; }));
}

HINGE_TEST_CASE("life: a peer that is gone before it is accepted", backends) {
  house at(backend, {.data = echo});
  at.connect().reset();
  at.peers.back().reset();
  client& ended = at.connect();
  ended.send("last words");
  ended.shutdown();
  client& fine = at.connect();
  fine.send("hello");
  CHECK(at.until([&] { return fine.received() == "hello" && ended.ended(); }));
  CHECK(ended.received() == "last words");
  CHECK(at.until([&] { return at.base().open_connections() == 1; }));
  CHECK(at.counters().accepted >= 2);  // the first may never have shown itself
}

HINGE_TEST_CASE("life: rule 9: the last reply and the end leave together", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte> bytes) {
             CHECK(c.finish(bytes));
             CHECK_FALSE(c.send(bytes));
           }});
  client& peer = at.enter();
  peer.send("question");
  CHECK(at.until([&] { return peer.ended(); }));
  CHECK(peer.received() == "question");
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(at.about(0).cause == close_cause::local_close);
  // On a readiness backend it takes MSG_MORE.
  if (!masked || backend.completes) CHECK(at.where.end_was_joined(peer, at.about(0).fd));
}
