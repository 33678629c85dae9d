#include <hinge/slot_list.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

using hinge::slot_list;
using hinge::slot_stack;

TEST_CASE("a list gives slots in the order in which they came") {
  slot_list list;
  REQUIRE(list.open(4));
  CHECK(list.empty());
  list.add(3);
  list.add(1);
  list.add(2);
  CHECK_FALSE(list.empty());
  CHECK(list.size() == 3);
  CHECK(list.take() == 3);
  CHECK(list.take() == 1);
  CHECK(list.take() == 2);
  CHECK(list.empty());
  CHECK(list.size() == 0);
}

TEST_CASE("a list may be full, wherever it begins") {
  slot_list list;
  REQUIRE(list.open(5));
  for (std::uint32_t begin = 0; begin < 11; ++begin) {
    CAPTURE(begin);
    for (std::uint32_t slot = 0; slot < 5; ++slot) list.add(slot + begin);
    CHECK(list.size() == 5);
    for (std::uint32_t slot = 0; slot < 5; ++slot) CHECK(list.take() == slot + begin);
    CHECK(list.empty());
    list.add(99);
    CHECK(list.take() == 99);
  }
}

TEST_CASE("a list of one slot") {
  slot_list list;
  REQUIRE(list.open(1));
  for (int i = 0; i < 3; ++i) {
    list.add(0);
    CHECK(list.size() == 1);
    CHECK(list.take() == 0);
    CHECK(list.empty());
  }
}

TEST_CASE("a list that is opened again is empty") {
  slot_list list;
  REQUIRE(list.open(3));
  list.add(1);
  list.add(2);
  list.take();
  list.take();
  REQUIRE(list.open(1));
  CHECK(list.empty());
  list.add(7);
  CHECK(list.take() == 7);
}

TEST_CASE("random additions and removals: a list is a queue, a stack is a stack") {
  const unsigned seed = GENERATE(range(1U, 11U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::uint32_t capacity = 1 + static_cast<std::uint32_t>(random() % 20);
  slot_list list;
  slot_stack stack;
  REQUIRE(list.open(capacity));
  REQUIRE(stack.open(capacity));
  std::deque<std::uint32_t> queue_model;
  std::vector<std::uint32_t> stack_model;
  for (int step = 0; step < 1000; ++step) {
    if (queue_model.size() < capacity && random() % 2 == 0) {
      const auto slot = static_cast<std::uint32_t>(random());
      list.add(slot);
      stack.add(slot);
      queue_model.push_back(slot);
      stack_model.push_back(slot);
    } else if (!queue_model.empty()) {
      REQUIRE(list.take() == queue_model.front());
      REQUIRE(stack.take() == stack_model.back());
      queue_model.pop_front();
      stack_model.pop_back();
    }
    REQUIRE(list.size() == queue_model.size());
    REQUIRE(list.empty() == queue_model.empty());
    REQUIRE(stack.empty() == stack_model.empty());
  }
}

TEST_CASE("a stack gives the slot that came last, and is empty when opened again") {
  slot_stack stack;
  REQUIRE(stack.open(3));
  CHECK(stack.empty());
  stack.add(5);
  stack.add(6);
  CHECK(stack.take() == 6);
  stack.add(7);
  CHECK(stack.take() == 7);
  CHECK(stack.take() == 5);
  CHECK(stack.empty());
  stack.add(8);
  REQUIRE(stack.open(3));
  CHECK(stack.empty());
}
