#include <hinge/fd.hpp>

#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <unistd.h>

#include <type_traits>
#include <utility>

using hinge::unique_fd;
using hinge::test::is_open;
using hinge::test::open_descriptors;

static_assert(!std::is_copy_constructible_v<unique_fd>);
static_assert(!std::is_copy_assignable_v<unique_fd>);
static_assert(std::is_nothrow_move_constructible_v<unique_fd>);
static_assert(std::is_nothrow_move_assignable_v<unique_fd>);
static_assert(sizeof(unique_fd) == sizeof(int));

namespace {

int fresh() {
  const int fd = ::dup(STDERR_FILENO);
  REQUIRE(fd >= 0);
  return fd;
}

}  // namespace

TEST_CASE("an empty unique_fd holds nothing and closes nothing") {
  const auto before = open_descriptors();
  {
    const unique_fd empty;
    CHECK_FALSE(empty);
    CHECK(empty.get() == -1);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("the descriptor is closed at the end of its owner's life") {
  const int fd = fresh();
  {
    const unique_fd owner(fd);
    CHECK(owner);
    CHECK(owner.get() == fd);
    CHECK(is_open(fd));
  }
  CHECK_FALSE(is_open(fd));
}

TEST_CASE("descriptor 0 is a descriptor") {
  const unique_fd saved(::dup(STDIN_FILENO));
  REQUIRE(saved);
  unique_fd zero(STDIN_FILENO);
  CHECK(zero);
  zero.reset();
  CHECK_FALSE(is_open(STDIN_FILENO));
  REQUIRE(::dup2(saved.get(), STDIN_FILENO) == STDIN_FILENO);
}

TEST_CASE("moving hands the descriptor over") {
  const int fd = fresh();
  unique_fd first(fd);
  unique_fd second(std::move(first));
  CHECK(first.get() == -1);  // NOLINT: moved from means empty
  CHECK(second.get() == fd);

  const int other = fresh();
  unique_fd third(other);
  third = std::move(second);
  CHECK(third.get() == fd);
  CHECK(is_open(fd));
  CHECK_FALSE(is_open(other));
}

TEST_CASE("assigning an owner to itself keeps the descriptor") {
  unique_fd owner(fresh());
  unique_fd& same = owner;
  owner = std::move(same);
  CHECK(owner);
  CHECK(is_open(owner.get()));
}

TEST_CASE("release gives the descriptor away open") {
  unique_fd owner(fresh());
  const int fd = owner.release();
  CHECK_FALSE(owner);
  CHECK(is_open(fd));
  CHECK(::close(fd) == 0);
}

TEST_CASE("reset closes the old and takes the new") {
  const int first = fresh();
  const int second = fresh();
  unique_fd owner(first);
  owner.reset(second);
  CHECK_FALSE(is_open(first));
  CHECK(owner.get() == second);
  owner.reset();
  CHECK_FALSE(is_open(second));
  CHECK_FALSE(owner);
}
