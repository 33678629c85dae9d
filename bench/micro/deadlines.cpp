// The wheel of deadlines, with so many armed.
#include <hinge/deadline_wheel.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

namespace {

using hinge::deadline_wheel;
using hinge::instant;

constexpr instant start = 1'000'000'000;
constexpr instant spread = 10'000'000'000;

/// A moment for each slot, within ten seconds.
std::vector<instant> moments(std::int64_t count) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<instant> within(start, start + spread);
  std::vector<instant> all(static_cast<std::size_t>(count));
  for (instant& one : all) one = within(random);
  return all;
}

void arm_all(deadline_wheel& wheel, const std::vector<instant>& due, instant shift = 0) {
  for (std::uint32_t slot = 0; slot < due.size(); ++slot)
    wheel.arm(slot, due[slot] + shift, start + shift);
}

/// All of them, from an empty wheel; one is an iteration.
void deadline_arm(benchmark::State& state) {
  const std::vector<instant> due = moments(state.range(0));
  deadline_wheel wheel;
  if (!wheel.open(static_cast<std::uint32_t>(due.size()), start))
    return state.SkipWithError("no memory");
  while (state.KeepRunningBatch(state.range(0))) {
    arm_all(wheel, due);
    state.PauseTiming();
    for (std::uint32_t slot = 0; slot < due.size(); ++slot) wheel.disarm(slot);
    state.ResumeTiming();
  }
}
BENCHMARK(deadline_arm)->RangeMultiplier(32)->Range(1 << 10, 1 << 20);

/// One is armed anew.
void deadline_touch(benchmark::State& state) {
  const std::vector<instant> due = moments(state.range(0));
  deadline_wheel wheel;
  if (!wheel.open(static_cast<std::uint32_t>(due.size()), start))
    return state.SkipWithError("no memory");
  arm_all(wheel, due);
  std::mt19937 random(2);
  std::uniform_int_distribution<std::uint32_t> any(0, static_cast<std::uint32_t>(due.size() - 1));
  std::vector<std::uint32_t> slots(1 << 16);
  for (std::uint32_t& one : slots) one = any(random);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::uint32_t slot = slots[next++ % slots.size()];
    wheel.disarm(slot);
    wheel.arm(slot, due[slot], start);
  }
}
BENCHMARK(deadline_touch)->RangeMultiplier(32)->Range(1 << 10, 1 << 20);

/// The clock goes on, a tick at a time, and all come up; one is an iteration.
void deadline_expire(benchmark::State& state) {
  const std::vector<instant> due = moments(state.range(0));
  deadline_wheel wheel;
  if (!wheel.open(static_cast<std::uint32_t>(due.size()), start))
    return state.SkipWithError("no memory");
  constexpr instant tick = instant{1} << deadline_wheel::tick_bits;
  instant shift = 0;
  while (state.KeepRunningBatch(state.range(0))) {
    state.PauseTiming();
    arm_all(wheel, due, shift);
    state.ResumeTiming();
    std::size_t taken = 0;
    instant now = start + shift;
    for (; taken < due.size() && now <= start + shift + spread + 2 * tick; now += tick) {
      while (wheel.take_due(now) != deadline_wheel::none) ++taken;
    }
    if (taken != due.size()) return state.SkipWithError("not all came up");
    shift = now - start;
  }
}
BENCHMARK(deadline_expire)->RangeMultiplier(32)->Range(1 << 10, 1 << 20);

}  // namespace
