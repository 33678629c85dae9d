// What only a ring can suffer: no room for a request, a completion queue that overflows, a listener
// that ends where there is no room to say so, a cancel that comes too late, a receive that stalls.
#include <hinge/loop.hpp>
#include <hinge/retirement.hpp>
#include <hinge/uring.hpp>

#include "conformance/house.hpp"
#include "conformance/seam.hpp"
#include "simulator/ring_hooks.hpp"
#include "support/descriptors.hpp"
#include "support/listening.hpp"
#include "uring_probe.hpp"
#include "uring_ring.hpp"
#include "uring_token.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

/// A ring with few entries.
struct small_ring : uring_poller {
  small_ring() noexcept : uring_poller({.submissions = 32, .completions = 64}) {}
};
/// The world has no hooks of its own.
const tested_backend on_small_ring = plain<small_ring, real_world>("small ring");

/// Nor has this one.
const tested_backend on_ring = plain<uring_poller, real_world>("ring", receives::go_on_unless_once);

bool usable() { return bool(uring_verdict()); }

/// The place among completions where an answer to the connection stands; and where a cancel says
/// that there is nothing of that name. Past the end: there is none.
struct late_cancel {
  std::size_t answer;
  std::size_t cancel;
};
late_cancel look_for_late_cancel(const std::vector<completion_seen>& all, std::size_t from,
                                 token subject) {
  late_cancel found{all.size(), all.size()};
  for (std::size_t i = all.size(); i-- > from;) {
    if (all[i].name != 0 && subject_of(all[i].name) == subject) found.answer = i;
    if (all[i].name == 0 && all[i].result == -ENOENT) found.cancel = i;
  }
  return found;
}

}  // namespace

TEST_CASE("ring: a cancel that finds no room is asked for later") {
  if (!usable()) SKIP("io_uring is refused here");
  std::uint64_t failing = 0;
  const ring_hooks hooks({}, [&](ring_call_id made, std::uint64_t) {
    return made == ring_call_id::io_uring_submit && failing > 0 && failing-- > 0 ? -EAGAIN : 0;
  });
  house at(on_small_ring);
  for (int i = 0; i < 50; ++i) at.enter();
  at.rest();
  REQUIRE(at.base().open_connections() == 50);
  failing = GENERATE(1U, 5U);
  const std::uint64_t asked = failing;
  at.running->drain(nanoseconds(0));
  CHECK(at.until([&] { return at.base().finished(); }));
  CHECK(failing < asked);
  CHECK(hooks.violations().empty());
}

TEST_CASE("ring: a submission that fails costs nobody anything") {
  if (!usable()) SKIP("io_uring is refused here");
  constexpr std::size_t all = 60;
  const int code = GENERATE(EAGAIN, EBUSY, ENOMEM, EINTR);
  const std::uint64_t first = GENERATE(1U, 2U, 3U);
  const std::uint64_t times = GENERATE(1U, 4U);
  const bool last = GENERATE(false, true);
  CAPTURE(errno_name(code), first, times, last);
  bool in_force = false;
  std::uint64_t made = 0;
  const ring_hooks hooks({}, [&](ring_call_id call, std::uint64_t) {
    if (!in_force || call != ring_call_id::io_uring_submit) return 0;
    ++made;
    return made >= first && made < first + times ? -code : 0;
  });
  house at(on_small_ring, {.data = [last](connection c, std::span<std::byte> bytes) {
             last ? c.finish(bytes) : c.send(bytes);
           }});
  for (std::size_t i = 0; i < all; ++i) at.enter();
  in_force = true;
  for (const auto& one : at.peers) one->send("x");
  const auto told = [&] {
    std::size_t served = 0;
    for (const auto& one : at.peers) served += one->received() == "x";
    return served;
  };
  CHECK(at.until([&] { return told() == all; }));
  in_force = false;
  CHECK(made >= first);
  CHECK(at.closed(close_cause::error) == 0);
  if (last) CHECK(at.until([&] { return at.base().open_connections() == 0; }));
  at.rest();
  CHECK(told() == all);
  client& next = at.enter();
  next.send("y");
  CHECK(at.until([&] { return next.received() == "y"; }));
  CHECK(hooks.violations().empty());
}

TEST_CASE("ring: a cancel that finds nothing any more is no answer") {
  if (!usable()) SKIP("io_uring is refused here");
  struct pair {
    operation asked;
    operation ended;
  };
  const auto [asked, ended] = GENERATE(pair{operation::receive, operation::stop_receive},
                                       pair{operation::receive, operation::detach},
                                       pair{operation::send, operation::detach});
  CAPTURE(static_cast<int>(asked), static_cast<int>(ended));
  std::size_t before = 0;
  std::size_t behind = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    ring_hooks hooks;
    seam at(on_ring);
    // More than there are buffers: each has to come back.
    for (int i = 0; i < 10; ++i) {
      const accepted_connection one = at.connect();
      one.peer->send("x");
      hooks.reorder(seed);
      const std::size_t from = hooks.completions().size();
      change first = asked == operation::send ? one.send("y") : one.receive(change::once);
      at.turn({first, {.subject = one.subject, .fd = one.fd, .what = ended}});
      at.rest();
      const late_cancel found = look_for_late_cancel(hooks.completions(), from, one.subject);
      REQUIRE(found.answer < hooks.completions().size());
      REQUIRE(found.cancel < hooks.completions().size());
      ++(found.cancel < found.answer ? before : behind);
      CHECK(at.count(one.subject) == 1);
      if (ended == operation::detach) {
        CHECK(at.count(one.subject, event_kind::detached) == 1);
      } else {
        CHECK(at.last(event_kind::received).result == 1);
        CHECK(at.last(event_kind::received).more == 0);
        at.turn(at.recycle_all());
      }
    }
    CHECK(hooks.violations().empty());
  }
  // Both orders have come to pass.
  CHECK(before > 10);
  CHECK(behind > 10);
}

TEST_CASE("ring: a receive that stalls is roused") {
  if (!usable()) SKIP("io_uring is refused here");
  const std::uint64_t times = GENERATE(1U, 5U);
  const bool ends = GENERATE(false, true);
  std::uint64_t left = times;
  const ring_hooks hooks([&](const request_seen& seen, std::uint64_t) {
    const bool goes_on =
        seen.opcode == IORING_OP_RECV && (seen.ioprio & IORING_RECV_MULTISHOT) != 0;
    return request_fate{.stalls = goes_on && left > 0 && left-- > 0};
  });
  house at(on_ring, {.data = echo});
  client& peer = at.enter();
  std::string all;
  for (std::uint64_t i = 0; i < times + 3; ++i) {
    const std::string more = pattern(1000, all.size());
    all += more;
    peer.send(more);
    REQUIRE(at.until([&] { return at.about(0).data.size() == all.size(); }));
  }
  CHECK(left == 0);
  CHECK((at.about(0).data == all));
  CHECK(at.until([&] { return peer.received().size() == all.size(); }));
  CHECK(hooks.count(IORING_OP_ASYNC_CANCEL) == times);
  ends ? peer.shutdown() : peer.reset();
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
  CHECK(hooks.violations().empty());
}

TEST_CASE("ring: a turn in another thread is -EEXIST, and the owner's go on") {
  if (!usable()) SKIP("io_uring is refused here");
  const bool has_one = GENERATE(false, true);
  seam at(on_ring);
  auto one = at.connect();
  at.turn({one.receive()});
  int turned = 0;
  // What it was to close is not left open.
  const change closing{.fd = ::dup(STDERR_FILENO), .what = operation::close};
  std::thread([&] {
    std::array<event, 8> events;
    turn_terms terms{.now = at.now};
    // Both rings have the same number then, each in its thread.
    uring_poller own;
    if (has_one && (!own.open(seam::small) || own.turn({}, events, terms) < 0 ||
                    own.turn({}, events, terms) < 0))
      return;
    turned = at.poller->turn(std::span(&closing, 1), events, terms);
  }).join();
  CHECK(turned == -EEXIST);
  CHECK(::fcntl(closing.fd, F_GETFD) == -1);
  one.peer->send("here");
  CHECK(at.until([&] { return at.text[one.subject.bits()] == "here"; }));
  at.turn(at.recycle_all());
}

TEST_CASE("ring: who has its ended thread's place in memory isn't its owner") {
  if (!usable()) SKIP("io_uring is refused here");
  std::array<event, 8> events;
  turn_terms terms{.until = deadline::immediately()};
  const auto turns = [&](uring_poller& of) {
    turn_terms now_and = terms;
    of.turn({}, events, now_and);  // may only ask for the time
    return of.turn({}, events, now_and);
  };
  uring_poller left;
  REQUIRE(left.open(seam::small));
  int first = -1;
  std::thread([&] { first = turns(left); }).join();
  CHECK(first >= 0);
  int own = -1;
  int other = 0;
  std::thread([&] {
    uring_poller mine;
    if (mine.open(seam::small)) own = turns(mine);
    other = turns(left);
  }).join();
  CHECK(own >= 0);
  CHECK(other == -EEXIST);
}

TEST_CASE("ring: a full table and an overflowing queue let those who are in be served") {
  if (!usable()) SKIP("io_uring is refused here");
  constexpr std::size_t all = 1500;
  house at(on_small_ring,
           {.data = [](connection c, std::span<std::byte> bytes) { c.finish(bytes); }},
           {.max_connections = 16, .accepts_per_turn = 1});
  for (std::size_t i = 0; i < all; ++i) at.connect();
  at.rest(40);
  for (const auto& one : at.peers) one->send("x");
  CHECK(at.until([&] { return at.closed(close_cause::local_close) == all; }, 20'000));
}

TEST_CASE("ring: who came as the queue overflowed is closed with the ring") {
  if (!usable()) SKIP("io_uring is refused here");
  const std::size_t before = open_descriptors();
  std::vector<std::unique_ptr<client>> clients;
  {
    seam at(on_small_ring);
    // Three times what the completion queue holds; that turn makes room for a few.
    for (int i = 0; i < 190; ++i) clients.push_back(at.where.connect(at.door.local()));
    at.turn({on_listener(at.door, operation::accept)}, 8, 4);
    REQUIRE_FALSE(at.accepted().empty());
  }
  clients.clear();
  CHECK(open_descriptors() == before);
}

TEST_CASE("ring: a request has nothing of the one before in its place") {
  if (!usable()) SKIP("io_uring is refused here");
  uring_ring ring;
  buffer_ring buffers;
  REQUIRE(buffers.open(8, 64));
  REQUIRE(ring.open(uring_ring::least, 8, buffers));
  io_uring_sqe* const all = ring.raw().sq.sqes;
  std::memset(static_cast<void*>(all), 0xff, sizeof *all * ring.raw().sq.ring_entries);
  ring.begin();
  io_uring_sqe* const request = ring.next();
  REQUIRE(request != nullptr);
  io_uring_prep_nop(request);  // which of the two clears them depends on the version of liburing
  CHECK(request->flags == 0);
  CHECK(request->ioprio == 0);
  CHECK(request->rw_flags == 0);
  CHECK(request->buf_index == 0);
  CHECK(request->personality == 0);
  CHECK(request->file_index == 0);
  CHECK(request->addr3 == 0);
}

TEST_CASE("ring: an owed cancel that finds the next accept is no shortage") {
  if (!usable()) SKIP("io_uring is refused here");
  bool cancelled = false;
  const ring_hooks hooks([&](const request_seen& seen, std::uint64_t) {
    const bool accepts = seen.opcode == IORING_OP_ACCEPT && !std::exchange(cancelled, true);
    return request_fate{.code = accepts ? ECANCELED : 0};
  });
  house at(on_ring);
  at.enter();
  CHECK(cancelled);
  CHECK(at.base().counters().accept_episodes == 0);
  CHECK(at.base().counters().accept_retries == 0);
  at.enter();
  CHECK(at.base().open_connections() == 2);
}

TEST_CASE("ring: a retirement that is given up is no accept that fails, in whatever order") {
  if (!usable()) SKIP("io_uring is refused here");
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    ring_hooks hooks;
    house at(on_ring);
    at.rest();
    hooks.reorder(seed);
    retirement leaving(at.base(), 0, {.within = std::chrono::seconds(60)});
    for (int i = 0; i < 5; ++i) CHECK_FALSE(leaving.step());
    leaving.give_up();
    at.rest();
    CHECK(at.notes().errors.empty());
    CHECK_FALSE(at.base().listener_at(0));
    CHECK(hooks.violations().empty());
  }
}

TEST_CASE("ring: a listener that ends stays within a turn's room") {
  if (!usable()) SKIP("io_uring is refused here");
  seam at(find_backend("uring accepts one"));
  std::vector<std::unique_ptr<client>> waiting;
  std::vector<change> receives;
  std::vector<accepted_connection> all;
  for (int i = 0; i < 12; ++i) all.push_back(at.connect());
  for (const auto& one : all) receives.push_back(one.receive());
  at.turn(receives, 64, 16, false);
  for (const auto& one : all) one.peer->send("x");
  waiting.push_back(at.where.connect(at.door.local()));
  // No room for accepts, and for two events besides the answer: turn() checks that.
  for (int i = 0; i < 20; ++i)
    at.turn(i == 0 ? std::vector{on_listener(at.door, operation::detach)} : std::vector<change>{},
            3, 0);
  CHECK(at.count(token(role::listener, 0, 0), event_kind::detached) == 1);
}

TEST_CASE("ring: one that breaks accepts nobody any more") {
  if (!usable()) SKIP("io_uring is refused here");
  bool broken = false;
  const ring_hooks hooks({}, [&](ring_call_id made, std::uint64_t) {
    const bool enters = made == ring_call_id::io_uring_submit_and_get_events ||
                        made == ring_call_id::io_uring_submit_and_wait_timeout;
    return broken && enters ? -EIO : 0;
  });
  uring_poller tested;
  REQUIRE(tested.open({}));
  listener door = opened(address::loopback(0));
  const address where = door.local();
  const change accept = on_listener(door, operation::accept);
  std::array<event, 8> events;
  turn_terms terms{.accept_room = 1, .now = now()};
  REQUIRE(tested.turn({&accept, 1}, events, terms) == 0);
  broken = true;
  CHECK(tested.turn({}, events, terms) == -EIO);
  broken = false;
  CHECK(tested.turn({}, events, terms) < 0);
  door.close();
  CHECK(hooks.violations().empty());
  // The kernel takes a moment to end what a closed ring had asked for.
  int tried = 0;
  for (int i = 0; i < 1000 && (tried = try_connect(where)) != ECONNREFUSED; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(tried == ECONNREFUSED);
}
