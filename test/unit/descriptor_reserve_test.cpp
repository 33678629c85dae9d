#include <hinge/descriptor_reserve.hpp>

#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

using hinge::descriptor_reserve;
using hinge::family;
using hinge::unique_fd;
using hinge::test::no_descriptors;

TEST_CASE("what was never opened is neither there nor lent") {
  descriptor_reserve tested;
  CHECK_FALSE(tested.lend());
  CHECK_FALSE(tested.is_lent());
  CHECK_FALSE(tested.take_back());
}

TEST_CASE("lent, it is room for one descriptor") {
  descriptor_reserve tested;
  REQUIRE(tested.open(family::ipv4));
  REQUIRE(tested.open(family::ipv4));  // no second one
  const no_descriptors none;
  CHECK(::dup(0) == -1);
  CHECK_FALSE(tested.is_lent());
  CHECK(tested.lend());
  CHECK(tested.is_lent());
  CHECK_FALSE(tested.lend());
  unique_fd other(::dup(0));
  CHECK(other);
  CHECK(::fcntl(other.get(), F_GETFD) >= 0);
  CHECK_FALSE(tested.take_back());
  CHECK(tested.is_lent());
  other.reset();
  CHECK(tested.take_back());
  CHECK_FALSE(tested.is_lent());
  CHECK(::dup(0) == -1);
}

TEST_CASE("there is room when somebody can be served besides") {
  descriptor_reserve tested;
  CHECK(tested.has_room_besides());
  REQUIRE(tested.open(family::ipv4));
  CHECK(tested.has_room_besides());
  const no_descriptors none;
  CHECK_FALSE(tested.has_room_besides());
  CHECK(tested.lend());
  CHECK_FALSE(tested.has_room_besides());  // it comes back, and that is all there was
  CHECK_FALSE(tested.is_lent());
}

TEST_CASE("without a descriptor there is none in reserve") {
  descriptor_reserve tested;
  const no_descriptors none;
  const hinge::result<void> opened = tested.open(family::ipv4);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == EMFILE);
  CHECK_FALSE(tested.is_lent());
}
