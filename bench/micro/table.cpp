// The table of connections, with so many in it.
#include <hinge/connection_table.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace {

using hinge::connection_table;

/// Slots in an order that no cache foresees.
std::vector<std::uint32_t> shuffled_slots(std::uint32_t count) {
  std::vector<std::uint32_t> slots(count);
  for (std::uint32_t i = 0; i < count; ++i) slots[i] = i;
  std::shuffle(slots.begin(), slots.end(), std::mt19937(1));
  return slots;
}

bool fill(connection_table& table, std::uint32_t count) {
  if (!table.open(count, 1)) return false;
  while (table.size() < count) table.insert(3, 0, {}, 1);
  return true;
}

/// One goes, another comes.
void table_erase_insert(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  connection_table table;
  if (!fill(table, count)) return state.SkipWithError("no memory");
  const std::vector<std::uint32_t> slots = shuffled_slots(count);
  std::size_t next = 0;
  for (auto _ : state) {
    table.erase(slots[next]);
    benchmark::DoNotOptimize(table.insert(3, 0, {}, 1));
    if (++next == slots.size()) next = 0;
  }
}
BENCHMARK(table_erase_insert)->RangeMultiplier(32)->Range(1 << 10, 1 << 20);

/// What an event does: finds its connection, and notes when that was.
void table_touch(benchmark::State& state) {
  const auto count = static_cast<std::uint32_t>(state.range(0));
  connection_table table;
  if (!fill(table, count)) return state.SkipWithError("no memory");
  const std::vector<std::uint32_t> slots = shuffled_slots(count);
  std::size_t next = 0;
  hinge::instant now = 1;
  for (auto _ : state) {
    hinge::hot_entry* const found = table.find({slots[next], 1});
    if (found == nullptr) return state.SkipWithError("a connection is gone");
    found->last_activity = ++now;
    if (++next == slots.size()) next = 0;
  }
}
BENCHMARK(table_touch)->RangeMultiplier(32)->Range(1 << 10, 1 << 20);

}  // namespace
