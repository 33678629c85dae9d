// Back-pressure: queues with marks and limits, on every backend alike.
#include "conformance/house.hpp"

#include <algorithm>

using namespace hinge;
using namespace hinge::test;

namespace {

constexpr loop_options narrow = {.receive_buffer_bytes = 16 * 1024,
                                 .queue_high_bytes = 64 * 1024,
                                 .queue_low_bytes = 16 * 1024,
                                 .queue_limit_bytes = 1024 * 1024,
                                 .queue_total_bytes = 4 * 1024 * 1024,
                                 .receive_buffers = 64,
                                 .ring_buffer_bytes = 4 * 1024};

/// Sends blocks until the queue is over the high mark; returns all of them.
std::string fill(connection c) {
  std::string sent;
  while (c.queued_bytes() <= narrow.queue_high_bytes) {
    const std::string block = pattern(8 * 1024, sent.size());
    REQUIRE(c.send(bytes_of(block)));
    sent += block;
  }
  return sent;
}

}  // namespace

HINGE_TEST_CASE("pressure: a full queue pauses reading until on_writable", backends) {
  std::string expected;
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte> bytes) {
                  if (bytes.front() == std::byte{'f'}) expected = fill(c);
                },
            .writable = [](connection c) { CHECK(c.queued_bytes() <= narrow.queue_low_bytes); }},
           narrow);
  at.enter();
  auto peer = at.take_away(0);
  peer->send("fill");
  CHECK(at.until([&] { return at.about(0).data == "fill"; }));
  CHECK(at.counters().read_pauses == 1);
  peer->send("more");
  at.rest();
  CHECK(at.about(0).data == "fill");
  CHECK(at.about(0).writable == 0);

  at.peers[0] = std::move(peer);
  CHECK(at.until([&] { return at.about(0).data == "fillmore"; }));
  CHECK(at.about(0).writable == 1);
  CHECK(at.until([&] { return at.peers[0]->received().size() == expected.size(); }));
  CHECK((at.peers[0]->received() == expected));
  CHECK(at.handle(0).queued_bytes() == 0);
}

HINGE_TEST_CASE("pressure: on_writable may fill the queue again", backends) {
  std::string expected;
  std::size_t rounds = 0;
  const auto go_on = [&](connection c) {
    if (++rounds > 5) {
      c.close();
      return;
    }
    while (c.queued_bytes() <= narrow.queue_high_bytes) {
      const std::string block = pattern(8 * 1024, expected.size());
      REQUIRE(c.send(bytes_of(block)));
      expected += block;
    }
  };
  house at(backend, {.accept = go_on, .writable = go_on}, narrow);
  client& peer = at.enter();
  CHECK(at.until([&] { return peer.ended(); }));
  CHECK((peer.received() == expected));
  CHECK(at.about(0).writable == 5);
}

HINGE_TEST_CASE("pressure: a flush without an end lets others have their turn", backends) {
  const std::string large = pattern(12'000'000);
  house at(backend, {.data = echo},
           {.queue_limit_bytes = 16 * 1024 * 1024, .queue_total_bytes = 64 * 1024 * 1024});
  at.where.widen();
  at.enter();
  client& other = at.enter();
  CHECK(at.handle(0).send(bytes_of(large)));
  other.send("hello");
  // All that one flush can send at once is more than its share.
  CHECK(at.until([&] { return other.received() == "hello"; }));
  CHECK(at.until([&] { return at.peers[0]->received().size() == large.size(); }, 20'000));
  CHECK((at.peers[0]->received() == large));
}

HINGE_TEST_CASE("pressure: an echo never queues more than the mark and a buffer", backends) {
  house at(backend,
           {.data =
                [](connection c, std::span<std::byte> bytes) {
                  CHECK(c.send(bytes));
                  CHECK(c.queued_bytes() <= narrow.queue_high_bytes + narrow.receive_buffer_bytes);
                }},
           narrow);
  at.enter();
  const auto peer = at.take_away(0);
  const std::string sent = pattern(3'000'000);
  std::size_t given = 0;
  for (int i = 0; i < 200; ++i) {
    given += peer->send(std::string_view(sent).substr(given));
    at.turn();
  }
  CHECK(given < sent.size());  // the peer is slowed down
  CHECK(at.counters().refused_sends == 0);
  CHECK(at.until(
      [&] {
        given += peer->send(std::string_view(sent).substr(given));
        peer->listen_in();
        return peer->received().size() == sent.size();
      },
      20'000));
  CHECK((peer->received() == sent));
}

HINGE_TEST_CASE("pressure: a send over the limit is refused whole", backends) {
  house at(backend, {}, narrow);
  at.enter();
  const std::string large = pattern(narrow.queue_limit_bytes + 1);
  CHECK_FALSE(at.handle(0).send(bytes_of(large)));
  CHECK_FALSE(at.handle(0).finish(bytes_of(large)));
  CHECK(at.counters().refused_sends == 2);
  CHECK(at.handle(0).is_open());
  CHECK(at.handle(0).send(bytes_of("small")));
  CHECK(at.until([&] { return at.peers[0]->received() == "small"; }));
}

HINGE_TEST_CASE("pressure: all queues together are bounded", backends) {
  loop_options scarce = narrow;
  scarce.queue_limit_bytes = 256 * 1024;
  scarce.queue_total_bytes = 256 * 1024;
  house at(backend, {}, scarce);
  const std::string large = pattern(200 * 1024);
  std::vector<std::unique_ptr<client>> stuck;
  for (std::size_t i = 0; i < 4; ++i) {
    at.enter();
    stuck.push_back(at.take_away(i));
  }
  std::size_t whole = 0;
  for (std::size_t i = 0; i < stuck.size(); ++i) whole += at.handle(i).send(bytes_of(large));
  CHECK(whole < stuck.size());
  CHECK(at.counters().refused_sends == stuck.size() - whole);
  CHECK(at.counters().refused_total == stuck.size() - whole);
  at.rest();

  // What was refused is either untouched, or, when a part had gone out, visibly broken.
  CHECK(at.until([&] {
    std::size_t settled = 0;
    for (std::size_t i = 0; i < stuck.size(); ++i) {
      stuck[i]->listen_in();
      settled += stuck[i]->received() == large || stuck[i]->was_reset() ||
                 (at.about(i).closes == 0 && stuck[i]->received().empty());
    }
    return settled == stuck.size();
  }));
  for (const auto& one : stuck) CHECK_FALSE(one->ended());
  CHECK(at.closed(close_cause::queue_full) == at.counters().closed_total());
}

namespace {

/// Of two connections: all that may be queued belongs to the first one.
loop_options scarce() {
  loop_options options = narrow;
  options.queue_limit_bytes = options.queue_total_bytes = 256 * 1024;
  return options;
}
const std::string block = pattern(8 * 1024);
std::unique_ptr<client> fill_for_the_first(house& at) {
  for (int i = 0; i < 2; ++i) at.enter();
  auto first = at.take_away(0);
  while (at.handle(0).send(bytes_of(block))) continue;
  return first;
}

}  // namespace

HINGE_TEST_CASE("pressure: a send refused for want of memory leaves nothing behind", backends) {
  house at(backend, {}, scarce());
  const auto other = fill_for_the_first(at);
  REQUIRE(at.counters().refused_sends == 1);
  const auto peer = at.take_away(1);
  while (at.handle(1).send(bytes_of(block))) continue;
  const hot_entry& entry = at.base().table().hot(at.handle(1).id().slot);
  if (at.handle(1).is_open() && entry.queued == 0) CHECK_FALSE(entry.has(connection_flag::stuck));
}

HINGE_TEST_CASE("pressure: the bound of all queues is one of bytes, however small they come",
                backends) {
  loop_options options = narrow;
  options.queue_limit_bytes = 256 * 1024;
  options.queue_total_bytes = 256 * 1024;
  options.receive_buffers = 512;
  house at(backend, {.data = echo}, options);
  std::vector<std::unique_ptr<client>> deaf;
  std::uint32_t queued = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    at.enter();
    deaf.push_back(at.take_away(i));
    const std::string part = pattern(8 * 1024);
    while (at.handle(i).queued_bytes() == 0) {
      REQUIRE(at.handle(i).send(bytes_of(part)));
      at.rest();
    }
    const std::size_t messages = 40;
    for (std::size_t sent = 1; sent <= messages; ++sent) {
      deaf[i]->send("0123456789");
      CHECK(at.until([&] { return at.about(i).data.size() == 10 * sent; }));
    }
    queued += at.handle(i).queued_bytes();
  }
  CHECK(queued < options.queue_total_bytes / 2);
  CHECK(at.counters().refused_total == 0);
}

HINGE_TEST_CASE("pressure: what had gone of a refused send is counted", backends) {
  house at(backend, {}, scarce());
  const auto other = fill_for_the_first(at);
  const auto peer = at.take_away(1);
  const std::string part = pattern(7001);
  const std::uint64_t before = at.counters().bytes_out;
  std::uint64_t whole = 0;
  while (at.handle(1).send(bytes_of(part))) whole += part.size();
  const bool broken = !at.handle(1).is_open();
  CHECK((at.counters().bytes_out - before > whole) == broken);
  CHECK(at.counters().bytes_out - before < whole + part.size());
}

HINGE_TEST_CASE("pressure: parts of what was received come back one by one", backends) {
  // Every second byte, each a send of its own.
  std::string expected;
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte> bytes) {
                  for (std::size_t i = 0; i < bytes.size(); i += 2) {
                    REQUIRE(c.send(bytes.subspan(i, 1)));
                    expected += static_cast<char>(bytes[i]);
                  }
                }},
           {.receive_buffers = 4, .ring_buffer_bytes = 64});
  client& peer = at.enter();
  const std::string sent = pattern(2000);
  std::size_t given = 0;
  CHECK(at.until([&] {
    given += peer.send(std::string_view(sent).substr(given, 64));
    return at.about(0).data.size() == sent.size();
  }));
  CHECK(at.until([&] { return peer.received().size() == expected.size(); }));
  CHECK((peer.received() == expected));
}

HINGE_TEST_CASE("pressure: who doesn't read leaves the others their buffers", backends) {
  loop_options scarce = narrow;
  scarce.receive_buffers = 4;  // a queue up to the mark would hold sixteen
  house at(backend, {.data = echo}, scarce);
  at.enter();
  const auto deaf = at.take_away(0);
  client& other = at.enter();
  const std::string block = pattern(16 * 1024);
  CHECK(at.until(
      [&] {
        deaf->send(block);
        return at.counters().read_pauses != 0;
      },
      20'000));
  other.send("hello");
  CHECK(at.until([&] { return other.received() == "hello"; }));
}

HINGE_TEST_CASE("pressure: a large reply takes few turns and few calls", backends) {
  const std::string large = pattern(600'000);  // in pieces of a segment: 150
  house at(backend,
           {.data = [&](connection c, std::span<std::byte>) { CHECK(c.finish(bytes_of(large))); }});
  at.where.widen();
  at.enter().send("go");
  const std::uint64_t before = at.counters().turns;
  CHECK(at.until([&] { return at.peers[0]->ended(); }));
  CHECK((at.peers[0]->received() == large));
  CHECK(at.counters().turns - before < 30);
  CHECK(at.where.calls().count(call_id::send) + at.where.calls().count(call_id::sendmsg) < 40);
}

HINGE_TEST_CASE("pressure: many sends take few turns", backends) {
  const std::string large = pattern(600'000);
  house at(backend, {.data = [&](connection c, std::span<std::byte>) {
             for (std::size_t i = 0; i < large.size(); i += 1000)
               CHECK(c.send(bytes_of(std::string_view(large).substr(i, 1000))));
           }});
  at.where.widen();
  at.enter().send("go");
  const std::uint64_t before = at.counters().turns;
  CHECK(at.until([&] { return at.peers[0]->received().size() == large.size(); }));
  CHECK((at.peers[0]->received() == large));
  CHECK(at.counters().turns - before < 30);
}

HINGE_TEST_CASE("pressure: a queue is over its mark when the socket takes no more", backends) {
  std::uint64_t taken = 0;
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte> bytes) {
                  CHECK(c.send(bytes));
                  fill(c);
                  taken = c.bytes_out();
                }},
           narrow);
  at.enter().send("fill");
  CHECK(at.until([&] { return at.about(0).calls == 1; }));
  CHECK(taken != 0);
  CHECK(at.counters().read_pauses == 1);
}

HINGE_TEST_CASE("pressure: what the socket takes passes no mark and no limit", backends) {
  const std::string part = pattern(3000);
  house at(backend,
           {.data =
                [&](connection c, std::span<std::byte> bytes) {
                  CHECK(c.send(bytes));
                  for (int i = 0; i < 20; ++i) CHECK(c.send(bytes_of(part)));
                  CHECK(c.queued_bytes() <= 8 * 1024);
                }},
           {.receive_buffer_bytes = 8 * 1024,
            .queue_high_bytes = 8 * 1024,
            .queue_low_bytes = 1024,
            .queue_limit_bytes = 16 * 1024,
            .ring_buffer_bytes = 8 * 1024});
  at.where.widen();
  at.enter().send("go");
  CHECK(at.until([&] { return at.peers[0]->received().size() == 2 + 20 * part.size(); }));
  CHECK(at.counters().read_pauses == 0);
  CHECK(at.counters().refused_sends == 0);
  CHECK(at.about(0).writable == 0);
}
