// How the accepting on a listener goes, without a socket: what the backend is asked, and when.
#include <hinge/door_table.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cerrno>
#include <optional>

using hinge::change_list;
using hinge::deadline;
using hinge::door;
using hinge::door_exit;
using hinge::door_failure;
using hinge::door_state;
using hinge::door_table;
using hinge::instant;
using hinge::listener;
using hinge::operation;
using hinge::want_end;

namespace {

constexpr instant ms = 1'000'000;
constexpr bool accepting = false;
constexpr bool arming = true;

door armed_door(instant now = 0) {
  door made{listener()};
  made.asked(*made.next(true, now));
  return made;
}

}  // namespace

TEST_CASE("A door accepts while there is room") {
  door tested{listener()};
  CHECK(tested.state() == door_state::waiting);
  CHECK(tested.next(false, 0) == std::nullopt);
  CHECK(tested.next(true, 0) == operation::accept);
  CHECK(tested.state() == door_state::waiting);  // until it has been asked
  tested.asked(operation::accept);
  CHECK(tested.state() == door_state::armed);
  CHECK(tested.next(true, 0) == std::nullopt);
  CHECK(tested.next(false, 0) == operation::stop_accept);
  tested.asked(operation::stop_accept);
  CHECK(tested.state() == door_state::waiting);
  tested.asked(*tested.next(true, 0));
  tested.ended();
  CHECK(tested.next(true, 0) == operation::accept);
}

TEST_CASE("An exhausted door tries again after 100 ms, doubling to a second") {
  door tested = armed_door();
  instant now = 5000 * ms;
  CHECK(tested.fail(-EMFILE, accepting, now, false) == door_failure::began);
  for (const instant wait : {100, 200, 400, 800, 1000, 1000}) {
    CAPTURE(wait);
    CHECK(tested.state() == door_state::exhausted);
    CHECK(tested.recovering());
    CHECK(tested.next(true, now + wait * ms - 1) == std::nullopt);
    now += wait * ms;
    REQUIRE(tested.next(true, now) == operation::accept);
    tested.asked(operation::accept);
    CHECK(tested.fail(-EMFILE, accepting, now, false) == door_failure::paused);
  }
}

TEST_CASE("A descriptor that becomes free ends the wait, and an accept the back-off") {
  door tested = armed_door();
  tested.fail(-ENFILE, accepting, 1000 * ms, false);
  CHECK(tested.next(true, 1001 * ms) == std::nullopt);
  tested.descriptor_freed(1001 * ms, want_end::freed_elsewhere);
  CHECK(tested.next(true, 1001 * ms) == operation::accept);
  tested.asked(operation::accept);
  tested.accepted(1002 * ms);
  CHECK_FALSE(tested.recovering());
  CHECK(tested.state() == door_state::armed);

  // What was freed before the failure is heard counts.
  tested.fail(-ENFILE, accepting, 1002 * ms, true);
  CHECK(tested.next(true, 1002 * ms) == operation::accept);
}

TEST_CASE("A connection that the backend still held ends the wait") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, false);
  tested.accepted(1000 * ms);
  CHECK(tested.next(true, 1000 * ms) == operation::accept);
}

TEST_CASE("An exhausted door without room waits for that") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, false);
  CHECK(tested.next(false, 1100 * ms) == std::nullopt);
  CHECK(tested.state() == door_state::waiting);  // no time wakes it any more
}

TEST_CASE("What a failure means for a door") {
  CHECK(armed_door().fail(-ECONNABORTED, accepting, 0, false) == door_failure::passed);
  CHECK(armed_door().fail(-EAGAIN, accepting, 0, false) == door_failure::passed);
  CHECK(armed_door().fail(-EPERM, accepting, 0, false) == door_failure::began);
  CHECK(armed_door().fail(-EINVAL, accepting, 0, false) == door_failure::died);
  // What can't even be begun.
  CHECK(armed_door().fail(-ENOMEM, arming, 0, false) == door_failure::began);
  CHECK(armed_door().fail(-ENOSPC, arming, 0, false) == door_failure::began);
  CHECK(armed_door().fail(-EPERM, arming, 0, false) == door_failure::died);
  CHECK(armed_door().fail(-ECONNABORTED, arming, 0, false) == door_failure::died);
}

TEST_CASE("A dead door is asked nothing, and what comes late means nothing") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, false);
  CHECK(tested.fail(-EBADF, accepting, 1000 * ms, false) == door_failure::died);
  CHECK(tested.state() == door_state::dead);
  CHECK_FALSE(tested.recovering());
  CHECK(tested.next(true, 9000 * ms) == std::nullopt);
  CHECK(tested.fail(-EBADF, accepting, 9000 * ms, false) == door_failure::late);
  tested.close(door_exit::at_once);
  CHECK(tested.state() == door_state::dead);
}

TEST_CASE("A door that closes is detached once, from any state") {
  const bool exhausted = GENERATE(false, true);
  door tested = armed_door();
  if (exhausted) tested.fail(-EMFILE, accepting, 1000 * ms, false);
  tested.close(door_exit::at_once);
  tested.close(door_exit::when_empty);
  CHECK_FALSE(tested.recovering());
  CHECK(tested.next(false, 0) == operation::detach);
  tested.asked(operation::detach);
  CHECK(tested.next(true, 9000 * ms) == std::nullopt);
  CHECK(tested.fail(-EMFILE, accepting, 0, false) == door_failure::late);
  tested.ended();
  CHECK(tested.state() == door_state::detaching);
  tested.detached();
  CHECK(tested.state() == door_state::dead);
}

TEST_CASE("An episode is over when accepts have worked for two seconds") {
  door tested = armed_door();
  CHECK(tested.fail(-EMFILE, accepting, 1000 * ms, false) == door_failure::began);
  tested.accepted(1500 * ms);
  CHECK(tested.next_moment() == deadline::at(3000 * ms));
  CHECK_FALSE(tested.take_episode(2999 * ms));
  CHECK(tested.fail(-EMFILE, accepting, 2999 * ms, false) == door_failure::paused);
  CHECK(tested.retry_at() == 3099 * ms);
  CHECK_FALSE(tested.take_episode(9000 * ms));  // it goes on
  tested.descriptor_freed(9000 * ms, want_end::freed_here);
  tested.accepted(9100 * ms);
  tested.accepted(9200 * ms);
  const auto over = tested.take_episode(9100 * ms);
  REQUIRE(over);
  CHECK(over->began == 1000 * ms);
  CHECK(over->length.count() == 8100 * ms);
  CHECK(over->failures == 2);
  CHECK(over->ended_by == want_end::freed_here);
  CHECK_FALSE(tested.take_episode(9100 * ms));
  CHECK(tested.next_moment().is_never());
  CHECK(tested.fail(-EMFILE, accepting, 9200 * ms, false) == door_failure::began);
}

TEST_CASE("What ends an episode is what came after its last failure") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, true);
  tested.descriptor_freed(1000 * ms, want_end::freed_elsewhere);
  tested.fail(-EMFILE, accepting, 1001 * ms, false);
  tested.accepted(1100 * ms);
  tested.descriptor_freed(1200 * ms, want_end::freed_elsewhere);
  CHECK(tested.take_episode(9000 * ms)->ended_by == want_end::retry);
}

TEST_CASE("An armed door that nobody comes to ends its episode two seconds later") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, false);
  tested.asked(*tested.next(true, 1100 * ms));
  CHECK(tested.next_moment() == deadline::at(3100 * ms));
  CHECK_FALSE(tested.rests(3099 * ms));
  CHECK(tested.rests(3100 * ms));
  SECTION("with descriptors") {
    tested.rested(true, 3100 * ms);
    CHECK_FALSE(tested.recovering());
    const auto over = tested.take_episode(3100 * ms);
    REQUIRE(over);
    CHECK(over->length.count() == 100 * ms);
    CHECK(over->ended_by == want_end::retry);
    CHECK(tested.next_moment().is_never());
  }
  SECTION("while descriptors are short") {
    tested.rested(false, 3100 * ms);
    CHECK(tested.recovering());
    CHECK(tested.next_moment() == deadline::at(5100 * ms));
  }
  SECTION("not without room") {
    tested.asked(*tested.next(false, 3000 * ms));
    CHECK_FALSE(tested.rests(9000 * ms));
    CHECK(tested.next_moment().is_never());
    tested.asked(*tested.next(true, 9000 * ms));
    CHECK(tested.next_moment() == deadline::at(11000 * ms));
  }
}

TEST_CASE("A door that is emptied goes on as there is room, and is closed when nobody waits") {
  door tested = armed_door();
  std::uint64_t drained = 99;
  tested.retire([&](std::uint64_t count) { drained = count; });
  tested.count_drained();
  tested.close(door_exit::when_empty);
  tested.asked(*tested.next(true, 1000 * ms));
  tested.detached();
  CHECK(tested.state() == door_state::emptying);
  CHECK(tested.next_moment().is_immediate());
  CHECK(tested.next(false, 1000 * ms) == std::nullopt);
  CHECK(tested.next_moment().is_never());
  CHECK(tested.next(true, 2000 * ms) == std::nullopt);
  CHECK(tested.next_moment() == deadline::at(2000 * ms));
  tested.empty_later(2100 * ms);
  tested.next(true, 2050 * ms);
  CHECK(tested.next_moment() == deadline::at(2100 * ms));
  CHECK(drained == 99);
  tested.emptied();
  CHECK(tested.state() == door_state::dead);
  CHECK(drained == 1);
}

TEST_CASE("A door that is emptied can be closed at once, and says so once") {
  door tested = armed_door();
  int said = 0;
  tested.retire([&](std::uint64_t) { ++said; });
  tested.close(door_exit::when_empty);
  tested.asked(*tested.next(true, 1000 * ms));
  const bool before = GENERATE(false, true);
  if (before) tested.close(door_exit::at_once);
  tested.detached();
  tested.close(door_exit::at_once);
  CHECK(tested.state() == door_state::dead);
  tested.detached();
  CHECK(said == 1);
  tested.retire([&](std::uint64_t) { ++said; });  // it is closed already
  CHECK(said == 2);
}

TEST_CASE("A door that ends in an episode has no more to tell of it") {
  door tested = armed_door();
  tested.fail(-EMFILE, accepting, 1000 * ms, false);
  tested.close(door_exit::at_once);
  CHECK_FALSE(tested.in_episode());
  CHECK(tested.next_moment().is_never());
}

TEST_CASE("Doors that find no room for their changes are armed later") {
  door_table tested;
  REQUIRE(tested.open());
  change_list changes;
  REQUIRE(changes.open(2, 0));
  for (int i = 0; i < 3; ++i) tested.add(listener());
  CHECK(tested.changed());
  tested.arm(changes, true, 0);
  CHECK(changes.all().size() == 2);
  CHECK(tested.changed());
  changes.clear();
  tested.arm(changes, true, 0);
  REQUIRE(changes.all().size() == 1);
  CHECK(changes.all()[0].subject.slot() == 2);
  CHECK_FALSE(tested.changed());
}

TEST_CASE("A table counts the doors that wait, and those that the backend still has") {
  door_table tested;
  REQUIRE(tested.open());
  change_list changes;
  REQUIRE(changes.open(8, 0));
  for (int i = 0; i < 3; ++i) tested.add(listener());
  tested.arm(changes, true, 0);
  tested.fail(1, -EMFILE, accepting, 1000 * ms, false);
  tested.fail(2, -EMFILE, accepting, 1050 * ms, false);
  CHECK(tested.exhausted() == 2);
  CHECK(tested.next_moment() == deadline::at(1100 * ms));
  tested.accepted(1, 1060 * ms);
  CHECK(tested.exhausted() == 1);
  CHECK(tested.recovering() == 1);
  CHECK(tested.episodes() == 2);
  CHECK(tested.changed());
  tested.fail(0, -EBADF, accepting, 1000 * ms, false);
  tested.close();
  CHECK(tested.exhausted() == 0);
  CHECK(tested.recovering() == 0);
  CHECK(tested.detaching() == 2);
  tested.detached(1);
  tested.detached(2);
  CHECK(tested.detaching() == 0);
}
