// Identity and bookkeeping of connections; what a connection costs, counted in allocated bytes.
#include <hinge/connection_table.hpp>

#include <hinge/slot_list.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

using hinge::close_cause;
using hinge::connection_id;
using hinge::connection_state;
using hinge::connection_table;
using hinge::hot_entry;
using hinge::inet_name;
using hinge::token;

namespace {
std::size_t bytes_allocated = 0;
}

// Counts the bytes of raw arrays, which allocate through this one.
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  bytes_allocated += bytes;
  void* memory = nullptr;
  const auto least = std::max(static_cast<std::size_t>(alignment), sizeof(void*));
  return posix_memalign(&memory, least, bytes) == 0 ? memory : nullptr;
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}

namespace flag = hinge::connection_flag;

namespace {

constexpr hinge::instant start = 1'000'000;

inet_name peer_at(std::uint16_t port) {
  return {.ip = {192, 0, 2, 1}, .port = port, .family = hinge::family::ipv4};
}

}  // namespace

TEST_CASE("an idle connection costs at most 128 bytes, the lists it may stand in included") {
  constexpr std::uint32_t capacity = 1000;
  connection_table table;
  hinge::slot_stack ending;
  hinge::slot_list changed;
  hinge::slot_list ready;
  const std::size_t before = bytes_allocated;
  REQUIRE(table.open(capacity, start));
  const std::size_t table_bytes = bytes_allocated - before;
  REQUIRE(ending.open(capacity));
  REQUIRE(changed.open(capacity));
  REQUIRE(ready.open(capacity));
  const std::size_t all_bytes = bytes_allocated - before;
  CHECK(table_bytes == capacity * (sizeof(hot_entry) + sizeof(hinge::cold_entry) + 10));
  CHECK(all_bytes == table_bytes + std::size_t{capacity} * 12);
  CHECK(all_bytes <= std::size_t{capacity} * 128);
}

TEST_CASE("hot entries lie on cache lines of their own") {
  connection_table table;
  REQUIRE(table.open(8, start));
  for (std::uint32_t slot = 0; slot < 8; ++slot)
    CHECK(reinterpret_cast<std::uintptr_t>(&table.hot(slot)) % 64 == 0);
}

TEST_CASE("a table has a capacity, and no more than a token can name") {
  connection_table table;
  CHECK_FALSE(table.open(token::max_slots + 1, start));
  REQUIRE(table.open(3, start));
  CHECK(table.capacity() == 3);
  CHECK(table.size() == 0);
  CHECK(table.available() == 3);
  CHECK(table.touched() == 0);
  CHECK(table.deadlines().empty());
}

TEST_CASE("an inserted connection is open, and has what was said of it") {
  connection_table table;
  REQUIRE(table.open(3, start));
  const std::uint32_t slot = table.insert(17, 5, peer_at(4711), start + 9);
  const hot_entry& h = table.hot(slot);
  CHECK(h.fd == 17);
  CHECK(h.listener == 5);
  CHECK(h.flags == 0);
  CHECK(h.state == connection_state::open);
  CHECK(h.cause == close_cause::none);
  CHECK(h.queued == 0);
  CHECK(h.out.empty());
  CHECK(h.held.empty());
  CHECK(h.bytes_in == 0);
  CHECK(h.bytes_out == 0);
  CHECK(h.last_activity == start + 9);
  CHECK(table.cold(slot).opened == start + 9);
  CHECK(table.cold(slot).peer == peer_at(4711));
  CHECK(table.size() == 1);
  CHECK(table.available() == 2);
  CHECK(table.touched() == 1);
}

TEST_CASE("nothing of a slot's last connection is seen by the next") {
  connection_table table;
  REQUIRE(table.open(1, start));
  const std::uint32_t slot = table.insert(17, 5, peer_at(1), start);
  hot_entry& h = table.hot(slot);
  h.set(flag::peer_ended | flag::user_paused);
  h.state = connection_state::detaching;
  h.cause = close_cause::peer_reset;
  h.queued = 3;
  h.out = {.head = 1, .tail = 2};
  h.held = {.head = 3, .tail = 4};
  h.bytes_in = 5;
  h.bytes_out = 6;
  table.erase(slot);
  REQUIRE(table.insert(18, 6, peer_at(2), start + 1) == slot);
  CHECK(h.fd == 18);
  CHECK(h.listener == 6);
  CHECK(h.flags == 0);
  CHECK(h.state == connection_state::open);
  CHECK(h.cause == close_cause::none);
  CHECK(h.queued == 0);
  CHECK(h.out.empty());
  CHECK(h.held.empty());
  CHECK(h.bytes_in == 0);
  CHECK(h.bytes_out == 0);
  CHECK(h.last_activity == start + 1);
  CHECK(table.cold(slot).opened == start + 1);
  CHECK(table.cold(slot).peer == peer_at(2));
}

TEST_CASE("the flags that say that a slot is listed outlive the connection, the others don't") {
  connection_table table;
  REQUIRE(table.open(1, start));
  const std::uint32_t slot = table.insert(17, 0, {}, start);
  table.hot(slot).set(flag::listed_ready | flag::attached | flag::unread);
  table.erase(slot);
  CHECK(table.hot(slot).has(flag::listed_ready));
  table.insert(18, 0, {}, start);
  CHECK(table.hot(slot).flags == flag::listed_ready);
  table.hot(slot).set(flag::listed_changed);
  table.hot(slot).clear(flag::listed_ready);
  table.erase(slot);
  table.insert(19, 0, {}, start);
  CHECK(table.hot(slot).flags == flag::listed_changed);
}

TEST_CASE("every flag is a bit of its own") {
  const std::vector<std::uint32_t> all = {
      flag::attached,    flag::deadline_armed, flag::grown,        flag::peer_ended,
      flag::end_unread,  flag::shut_wanted,    flag::shut_done,    flag::above_high,
      flag::user_paused, flag::unread,         flag::unsent,       flag::reset,
      flag::receiving,   flag::stopping,       flag::sending,      flag::partial_reads,
      flag::has_queue,   flag::detach_asked,   flag::listed_ready, flag::listed_changed,
  };
  std::uint32_t seen = 0;
  for (const std::uint32_t one : all) {
    CHECK(one != 0);
    CHECK((one & (one - 1)) == 0);
    CHECK((seen & one) == 0);
    seen |= one;
  }
}

TEST_CASE("an id names its connection until that has gone, and nothing afterwards") {
  connection_table table;
  REQUIRE(table.open(2, start));
  CHECK(table.find(connection_id{}) == nullptr);
  CHECK(table.find({.slot = 0, .generation = 1}) == nullptr);
  const std::uint32_t slot = table.insert(17, 0, {}, start);
  const connection_id id = table.id(slot);
  CHECK(id.slot == slot);
  CHECK(id != connection_id{});
  CHECK(table.find(id) == &table.hot(slot));
  CHECK(static_cast<const connection_table&>(table).find(id) == &table.hot(slot));
  CHECK(table.find(id, connection_state::open) == &table.hot(slot));
  CHECK(table.find(id, connection_state::draining) == nullptr);
  CHECK(table.find({.slot = slot, .generation = id.generation + 1}) == nullptr);
  CHECK(table.find({.slot = 1, .generation = id.generation}) == nullptr);
  table.hot(slot).state = connection_state::draining;
  CHECK(table.find(id) == &table.hot(slot));
  CHECK(table.find(id, connection_state::open) == nullptr);
  CHECK(table.find(id, connection_state::draining) == &table.hot(slot));

  table.erase(slot);
  CHECK(table.find(id) == nullptr);
  CHECK(table.find(table.id(slot)) == nullptr);
  REQUIRE(table.insert(18, 0, {}, start) == slot);
  CHECK(table.find(id) == nullptr);
  CHECK(table.find(id, connection_state::open) == nullptr);
  CHECK(table.id(slot) != id);
  CHECK(table.find(table.id(slot)) == &table.hot(slot));
}

TEST_CASE("a token carries the slot and its generation") {
  connection_table table;
  REQUIRE(table.open(2, start));
  table.insert(17, 0, {}, start);
  const std::uint32_t slot = table.insert(18, 0, {}, start);
  const token before = table.token_of(slot);
  CHECK(before.what() == hinge::role::connection);
  CHECK(before.slot() == slot);
  CHECK(before.generation() == table.id(slot).generation);
  table.erase(slot);
  REQUIRE(table.insert(19, 0, {}, start) == slot);
  CHECK(table.token_of(slot) != before);
}

TEST_CASE("the slot that was given back last, and is warm, is taken first") {
  connection_table table;
  REQUIRE(table.open(6, start));
  for (int fd = 0; fd < 4; ++fd) table.insert(fd, 0, {}, start);
  table.erase(1);
  table.erase(3);
  table.erase(0);
  CHECK(table.insert(10, 0, {}, start) == 0);
  CHECK(table.insert(11, 0, {}, start) == 3);
  CHECK(table.insert(12, 0, {}, start) == 1);
  CHECK(table.touched() == 4);
  CHECK(table.insert(13, 0, {}, start) == 4);
  CHECK(table.touched() == 5);
}

TEST_CASE("a table that is opened again is empty") {
  connection_table table;
  REQUIRE(table.open(2, start));
  table.insert(1, 0, {}, start);
  table.erase(0);
  table.insert(1, 0, {}, start);
  const connection_id id = table.id(0);
  REQUIRE(table.open(4, start));
  CHECK(table.capacity() == 4);
  CHECK(table.size() == 0);
  CHECK(table.touched() == 0);
  CHECK(table.find(id) == nullptr);
}

TEST_CASE("random connections: every live id is found, every stale one is not") {
  const unsigned seed = GENERATE(range(1U, 11U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  struct known {
    connection_id id;
    int fd;
  };
  const std::uint32_t capacity = 1 + static_cast<std::uint32_t>(random() % 40);
  connection_table table;
  REQUIRE(table.open(capacity, start));
  std::vector<known> live;
  std::vector<connection_id> gone;
  std::vector<std::uint32_t> free_slots;  // the one to be taken next stands last
  for (int fd = 0; fd < 1500; ++fd) {
    if (table.available() != 0 && random() % 2 == 0) {
      const std::uint32_t fresh = table.touched();
      const std::uint32_t slot = table.insert(fd, 0, {}, start);
      if (free_slots.empty()) {
        REQUIRE(slot == fresh);
      } else {
        REQUIRE(slot == free_slots.back());
        free_slots.pop_back();
      }
      live.push_back({table.id(slot), fd});
    } else if (!live.empty()) {
      const std::size_t index = random() % live.size();
      table.erase(live[index].id.slot);
      free_slots.push_back(live[index].id.slot);
      gone.push_back(live[index].id);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(index));
    }
    REQUIRE(table.size() == live.size());
    REQUIRE(table.available() == capacity - live.size());
  }
  for (const known& one : live) {
    REQUIRE(table.find(one.id) != nullptr);
    CHECK(table.find(one.id)->fd == one.fd);
  }
  CHECK(gone.size() > 100);
  for (const connection_id id : gone) CHECK(table.find(id) == nullptr);
}
