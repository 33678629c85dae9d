// The wheel against a list of moments, one for each slot: nothing early, nothing lost, nothing more
// than a tick late.
#include <hinge/deadline_wheel.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <utility>
#include <vector>

using hinge::deadline;
using hinge::deadline_wheel;
using hinge::instant;

namespace {

constexpr instant start = 987'654'321'012;
constexpr instant tick = instant{1} << deadline_wheel::tick_bits;
constexpr instant turn_of_wheel = tick * (deadline_wheel::buckets - 1);
constexpr instant second = 1'000'000'000;

/// What is taken at `at`, in order of taking; asserts that `none` comes in the end.
std::vector<std::uint32_t> drain(deadline_wheel& wheel, instant at) {
  std::vector<std::uint32_t> taken;
  for (std::uint32_t slot; (slot = wheel.take_due(at)) != deadline_wheel::none;) {
    taken.push_back(slot);
    REQUIRE(taken.size() <= 10'000);
  }
  return taken;
}

using slots = std::vector<std::uint32_t>;

struct armed {
  instant due;    ///< the moment that was asked for, or when that had passed, the time of asking
  instant asked;  ///< when it was armed
};

/// A wheel and what it should hold. Time only moves in pass().
class checked_wheel {
public:
  explicit checked_wheel(std::uint32_t capacity) : model_(capacity) {
    REQUIRE(wheel_.open(capacity, start));
    REQUIRE(drain(wheel_, now_).empty());
  }

  instant now() const { return now_; }
  const std::optional<armed>& at(std::uint32_t slot) const { return model_[slot]; }
  deadline next() const { return wheel_.next(); }

  void arm(std::uint32_t slot, instant when) {
    wheel_.arm(slot, when, now_);
    model_[slot] = {.due = std::max(when, now_), .asked = now_};
  }
  void disarm(std::uint32_t slot) {
    wheel_.disarm(slot);
    model_[slot].reset();
  }
  void arm_earlier(std::uint32_t slot, instant when) {
    wheel_.arm_earlier(slot, when);
    model_[slot]->due = std::min(model_[slot]->due, std::max(when, now_));
  }

  /// Lets the clock show `to`; returns the slots that came up before their time, to be looked at
  /// again, with the moments they wait for.
  std::vector<std::pair<std::uint32_t, instant>> pass(instant to) {
    now_ = to;
    if (!wheel_.may_be_due(now_)) REQUIRE(drain(wheel_, now_).empty());
    std::vector<std::pair<std::uint32_t, instant>> again;
    for (const std::uint32_t slot : drain(wheel_, now_)) {
      CAPTURE(slot);
      REQUIRE(model_[slot].has_value());
      const armed was = *model_[slot];
      model_[slot].reset();
      if (was.due <= now_) continue;
      REQUIRE(now_ >= was.asked + turn_of_wheel);
      again.emplace_back(slot, was.due);
    }
    check();
    return again;
  }

  /// What must hold whenever nothing is left to take.
  void check() const {
    instant earliest_due = std::numeric_limits<instant>::max();
    instant earliest_look = std::numeric_limits<instant>::max();
    bool none_armed = true;
    for (std::uint32_t slot = 0; slot < model_.size(); ++slot) {
      if (!model_[slot]) continue;
      const armed& one = *model_[slot];
      CAPTURE(slot, one.due, one.asked, now_);
      REQUIRE(now_ < one.due + tick);
      none_armed = false;
      earliest_due = std::min(earliest_due, one.due);
      earliest_look = std::min({earliest_look, one.due, one.asked + turn_of_wheel});
    }
    REQUIRE(wheel_.empty() == none_armed);
    REQUIRE(wheel_.next().is_never() == none_armed);
    if (none_armed) return;
    REQUIRE(wheel_.next().when() <= earliest_due + tick);
    REQUIRE(wheel_.next().when() >= earliest_look);
    REQUIRE_FALSE(wheel_.may_be_due(now_));
  }

private:
  deadline_wheel wheel_;
  std::vector<std::optional<armed>> model_;
  instant now_ = start;
};

class dice {
public:
  explicit dice(std::uint64_t seed) : random_(seed) {}
  std::int64_t below(std::int64_t count) {
    return std::uniform_int_distribution<std::int64_t>(0, count - 1)(random_);
  }
  bool one_in(std::int64_t count) { return below(count) == 0; }
  /// A span of any order of magnitude, up to three turns of the wheel.
  instant span() { return below((instant{1} << below(37)) + 1); }
  /// A moment near `now`: passed, in a bucket that is shared, or anywhere.
  instant moment(instant now) {
    switch (below(4)) {
      case 0:
        return now - span();
      case 1:
        return now + below(8) * tick;
      case 2:
        return now + turn_of_wheel + (below(5) - 2) * tick + below(3) - 1;
      default:
        return now + span();
    }
  }

private:
  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("an empty wheel never comes up") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  CHECK(wheel.empty());
  CHECK(wheel.next().is_never());
  CHECK_FALSE(wheel.may_be_due(start + 1000 * second));
  CHECK(wheel.take_due(start + 1000 * second) == deadline_wheel::none);
}

TEST_CASE("a slot comes up at its moment or at most one tick later, and once") {
  const instant wait = GENERATE(as<instant>(), 1, tick - 1, tick, tick + 1, 64 * tick, second,
                                30 * second, turn_of_wheel);
  CAPTURE(wait);
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  wheel.arm(2, start + wait, start);
  CHECK_FALSE(wheel.empty());
  CHECK(drain(wheel, start + wait - 1).empty());
  CHECK_FALSE(wheel.may_be_due(start + wait - 1));
  const instant next = wheel.next().when();
  CHECK(next >= start + wait);
  CHECK(next < start + wait + tick);
  CHECK(wheel.may_be_due(next));
  CHECK(drain(wheel, next) == slots{2});
  CHECK(wheel.empty());
  CHECK(drain(wheel, start + wait + 100 * second).empty());
}

TEST_CASE("a moment that has passed comes up with the next tick") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  const instant now = start + 5 * tick + 17;
  REQUIRE(drain(wheel, now).empty());
  wheel.arm(0, start, now);
  wheel.arm(1, start - 3 * second, now);
  CHECK(drain(wheel, now).empty());
  CHECK(drain(wheel, start + 6 * tick).size() == 2);
}

TEST_CASE("a deadline beyond the wheel is looked at again each turn of the wheel") {
  checked_wheel wheel(1);
  const instant moment = start + 3600 * second;
  wheel.arm(0, moment);
  unsigned looks = 0;
  while (wheel.at(0)) {
    for (const auto& [slot, when] : wheel.pass(wheel.next().when())) {
      CHECK(when == moment);
      wheel.arm(slot, when);
      ++looks;
    }
    REQUIRE(looks < 1000);
  }
  CHECK(wheel.now() >= moment);
  CHECK(wheel.now() < moment + tick);
  CHECK(looks == (3600 * second - 1) / turn_of_wheel);
}

TEST_CASE("a clock that jumped over many turns of the wheel finds everything") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(1000, start));
  for (std::uint32_t slot = 0; slot < 1000; ++slot) {
    wheel.arm(slot, start + slot * 5 * tick, start);
  }
  slots taken = drain(wheel, start + 24 * 3600 * second);
  std::sort(taken.begin(), taken.end());
  REQUIRE(taken.size() == 1000);
  for (std::uint32_t slot = 0; slot < 1000; ++slot) CHECK(taken[slot] == slot);
  wheel.arm(7, start + 24 * 3600 * second + 10 * tick, start + 24 * 3600 * second);
  CHECK(drain(wheel, start + 24 * 3600 * second + 9 * tick).empty());
  CHECK(drain(wheel, start + 24 * 3600 * second + 11 * tick) == slots{7});
}

TEST_CASE("slots come up in the order of their ticks") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(8, start));
  const instant now = start + 4000 * tick;  // so that the later ones stand behind the wrap-around
  REQUIRE(drain(wheel, now).empty());
  wheel.arm(0, now + 300 * tick, now);
  wheel.arm(1, now + 2 * tick, now);
  wheel.arm(2, now + 4000 * tick, now);
  wheel.arm(3, now + 90 * tick, now);
  wheel.arm(4, now + 200 * tick, now);
  CHECK(drain(wheel, now + 5000 * tick) == slots{1, 3, 4, 0, 2});
}

TEST_CASE("arm_earlier brings forward and never puts off") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  wheel.arm(0, start + 10 * second, start);
  wheel.arm(1, start + 10 * second, start);
  wheel.arm(2, start + 100 * second, start);
  wheel.arm_earlier(0, start + 5 * second);
  wheel.arm_earlier(1, start + 20 * second);
  wheel.arm_earlier(2, start + 6 * second);
  CHECK(drain(wheel, start + 5 * second - 1).empty());
  CHECK(drain(wheel, start + 5 * second + tick) == slots{0});
  CHECK(drain(wheel, start + 6 * second + tick) == slots{2});
  CHECK(drain(wheel, start + 10 * second - 1).empty());
  CHECK(drain(wheel, start + 10 * second + tick) == slots{1});
  CHECK(wheel.empty());
}

TEST_CASE("a wheel that is opened again is empty") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  wheel.arm(3, start + second, start);
  REQUIRE(drain(wheel, start + tick).empty());
  REQUIRE(wheel.open(4, start + 50 * second));
  CHECK(wheel.empty());
  CHECK(wheel.next().is_never());
  wheel.arm(3, start + 51 * second, start);
  CHECK(drain(wheel, start + 51 * second - 1).empty());
  CHECK(drain(wheel, start + 51 * second + tick) == slots{3});
}

TEST_CASE("random operations keep the wheel and a plain list of moments alike") {
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{31}));
  CAPTURE(seed);
  dice random(seed);
  const auto capacity = static_cast<std::uint32_t>(1 + random.below(48));
  checked_wheel wheel(capacity);
  std::uint64_t came_up = 0;
  for (int step = 0; step < 2000; ++step) {
    CAPTURE(step);
    const auto slot = static_cast<std::uint32_t>(random.below(capacity));
    if (!wheel.at(slot)) {
      wheel.arm(slot, random.moment(wheel.now()));
    } else if (random.one_in(3)) {
      wheel.disarm(slot);
    } else {
      wheel.arm_earlier(slot, random.moment(wheel.now()));
    }
    instant to = wheel.now();
    const deadline next = wheel.next();
    if (random.one_in(4)) {
      to += random.span();
    } else if (random.one_in(3) && !next.is_never()) {
      const bool reached = random.one_in(2);
      to = std::max(to, next.when() - (reached ? 0 : 1));
      came_up += reached;
    } else if (random.one_in(3)) {
      to += random.below(tick);
    }
    for (const auto& [again, when] : wheel.pass(to)) wheel.arm(again, when);
  }
  CHECK(came_up > 20);
}

TEST_CASE("next is the exact moment at which the first slot can be taken") {
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  CAPTURE(seed);
  dice random(seed);
  deadline_wheel wheel;
  REQUIRE(wheel.open(32, start));
  for (std::uint32_t slot = 0; slot < 32; ++slot) wheel.arm(slot, random.moment(start), start);
  instant last = 0;
  for (int left = 32; left != 0; --left) {
    const instant next = wheel.next().when();
    REQUIRE(next >= last);
    REQUIRE(wheel.take_due(next - 1) == deadline_wheel::none);
    REQUIRE(wheel.next().when() == next);
    REQUIRE(wheel.take_due(next) != deadline_wheel::none);
    last = next;
  }
  REQUIRE(wheel.empty());
}

TEST_CASE("a wheel that was empty for long arms where the clock stands") {
  deadline_wheel wheel;
  REQUIRE(wheel.open(4, start));
  const instant now = start + 24 * 3600 * second;
  wheel.arm(1, now + 10 * second, now);
  CHECK(wheel.next().when() >= now + 10 * second);
  CHECK(wheel.next().when() < now + 10 * second + tick);
  CHECK(drain(wheel, now + 9 * second).empty());
  CHECK(drain(wheel, now + 11 * second) == slots{1});
}
