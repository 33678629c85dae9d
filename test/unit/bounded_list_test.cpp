#include <hinge/bounded_list.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>

using hinge::bounded_list;

TEST_CASE("bounded_list: elements stay where they are, in order") {
  bounded_list<std::unique_ptr<int>> list;
  CHECK(list.size() == 0);
  REQUIRE(list.open(3));
  const auto& first = list.push_back(std::make_unique<int>(1));
  list.push_back(std::make_unique<int>(2));
  list.push_back(std::make_unique<int>(3));
  CHECK(&first == &list[0]);
  int sum = 0;
  for (const auto& one : list) sum = 10 * sum + *one;
  CHECK(sum == 123);
  CHECK(list.size() == 3);
}

TEST_CASE("bounded_list: each element is destroyed once") {
  const auto counted = std::make_shared<int>();
  {
    bounded_list<std::shared_ptr<int>> list;
    REQUIRE(list.open(4));
    list.push_back(std::shared_ptr(counted));
    list.push_back(std::shared_ptr(counted));
    CHECK(counted.use_count() == 3);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("bounded_list: one that was never opened is empty") {
  const bounded_list<std::shared_ptr<int>> list;
  CHECK(list.begin() == list.end());
}
