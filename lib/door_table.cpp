#include <hinge/door_table.hpp>

#include <hinge/accept_error.hpp>
#include <hinge/probe.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace hinge {

/// Seldom, and there are few.
void door_table::recount() noexcept {
  exhausted_ = recovering_ = episodes_ = detaching_ = retiring_ = emptying_ = 0;
  for (const door& each : doors_) {
    exhausted_ += each.state() == door_state::exhausted;
    recovering_ += each.recovering();
    episodes_ += each.in_episode();
    detaching_ += each.state() == door_state::closing || each.state() == door_state::detaching;
    retiring_ += each.retires();
    emptying_ += each.state() == door_state::emptying;
  }
}

deadline door_table::next_moment() const noexcept {
  deadline first = deadline::never();
  for (const door& each : doors_) first = std::min(first, each.next_moment());
  return first;
}

void door_table::arm(change_list& changes, bool room, instant now) noexcept {
  changed_ = false;
  for (std::size_t i = 0; i < doors_.size(); ++i) {
    const std::optional<operation> what = doors_[i].next(room, now);
    const bool exhausted = doors_[i].state() == door_state::exhausted;
    doors_[i].meter().accepts(doors_[i].goes_on(room), doors_[i].socket(), i, exhausted, now);
    if (!what) continue;
    if (changes.room() == 0) {
      changed_ = true;
      break;
    }
    if (*what == operation::accept) HINGE_PROBE2(rearm, i, doors_[i].socket().fd());
    const token subject(role::listener, static_cast<std::uint32_t>(i), 0);
    changes.add({.subject = subject, .fd = doors_[i].socket().fd(), .what = *what});
    doors_[i].asked(*what);
  }
  recount();
}

door_failure door_table::fail(std::size_t index, int code, bool arming, instant now,
                              bool freed) noexcept {
  const door_failure came_to = doors_[index].fail(code, arming, now, freed);
  if (came_to == door_failure::died) {
    doors_[index].meter().end(now);
    changed_ = true;
  }
  recount();
  return came_to;
}

void door_table::accepted(std::size_t index, instant now) noexcept {
  if (!doors_[index].recovering()) return;
  changed_ = changed_ || doors_[index].state() == door_state::exhausted;
  doors_[index].accepted(now);
  recount();
}

void door_table::descriptor_freed(instant now, want_end by) noexcept {
  for (door& each : doors_) each.descriptor_freed(now, by);
}

std::optional<door_episode> door_table::take_episode(std::size_t index, instant now) noexcept {
  door& looked_at = doors_[index];
  // Who is shed leaves a descriptor behind: for the reserve, and not for one who is to be served.
  if (looked_at.rests(now)) looked_at.rested(reserve_.has_room_besides(), now);
  const std::optional<door_episode> over = looked_at.take_episode(now);
  if (over) recount();
  return over;
}

void door_table::shed_next(std::size_t index, instant now) noexcept {
  // The handler may have stopped the loop.
  if (doors_[index].state() != door_state::exhausted) return;
  doors_[index].shed_next(reserve_.lend(), now);
}

void door_table::shed(instant now) noexcept {
  for (door& each : doors_) each.shed(now);
}

void door_table::close() noexcept {
  for (door& each : doors_) each.close(door_exit::at_once);
  changed_ = true;
  recount();
}

void door_table::retire(std::size_t index, door_end tell) noexcept {
  doors_[index].retire(std::move(tell));
  recount();
}

void door_table::close(std::size_t index, door_exit how) noexcept {
  doors_[index].close(how);
  changed_ = true;
  recount();
}

void door_table::detached(std::size_t index) noexcept {
  doors_[index].detached();
  changed_ = changed_ || doors_[index].state() == door_state::emptying;  // if there is room
  recount();
}

std::optional<std::size_t> door_table::to_empty(instant now) const noexcept {
  for (std::size_t i = 0; i < doors_.size(); ++i)
    if (doors_[i].state() == door_state::emptying && doors_[i].retry_at() <= now) return i;
  return {};
}

bool door_table::empty_failed(std::size_t index, int code, instant now) noexcept {
  const accept_class failed = classify_accept_error(-code);
  if (failed == accept_class::retry) return true;
  if (failed == accept_class::drained || failed == accept_class::dead) {
    doors_[index].emptied();
  } else {
    doors_[index].empty_later(now + 100'000'000);
  }
  recount();
  return false;
}

}  // namespace hinge
