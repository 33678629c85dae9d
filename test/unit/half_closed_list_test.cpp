#include <hinge/half_closed_list.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

using hinge::half_closed_list;

TEST_CASE("the oldest comes first, whoever leaves before") {
  std::array<std::uint32_t, 4> leaving = {3, 0, 2, 1};
  std::sort(leaving.begin(), leaving.end());
  do {
    half_closed_list tested;
    REQUIRE(tested.open(4));
    CHECK(tested.oldest() == half_closed_list::none);
    std::array<bool, 4> in{};
    constexpr std::array<std::uint32_t, 4> coming = {2, 0, 3, 1};
    for (std::uint32_t i = 0; i < 4; ++i) {
      tested.add(coming[i], 100 + i);
      in[coming[i]] = true;
    }
    for (std::uint32_t left = 4; left != 0; --left) {
      CHECK(tested.size() == left);
      const auto oldest =
          std::find_if(coming.begin(), coming.end(), [&](std::uint32_t slot) { return in[slot]; });
      CHECK(tested.oldest() == *oldest);
      CHECK(tested.since(*oldest) == 100 + (oldest - coming.begin()));
      tested.remove(leaving[left - 1]);
      in[leaving[left - 1]] = false;
    }
    CHECK(tested.oldest() == half_closed_list::none);
    // It begins anew.
    tested.add(1, 200);
    CHECK(tested.oldest() == 1);
    CHECK(tested.size() == 1);
  } while (std::next_permutation(leaving.begin(), leaving.end()));
}
