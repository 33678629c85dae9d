// The layout of what crosses the seam.
#include <hinge/event.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <type_traits>

using hinge::role;
using hinge::token;

TEST_CASE("a token has its slot in bits 0 to 23, its role in 24 to 31, its generation above") {
  CHECK(token(role::none, 1, 0).bits() == 1);
  CHECK(token(role::none, 0xff'ffff, 0).bits() == 0xff'ffff);
  CHECK(token(role::listener, 0, 0).bits() == 0x0100'0000);
  CHECK(token(role::connection, 0, 0).bits() == 0x0200'0000);
  CHECK(token(role::none, 0, 1).bits() == 0x1'0000'0000);
  CHECK(token(role::connection, 0x12'3456, 0x89ab'cdef).bits() == 0x89ab'cdef'0212'3456);
}

TEST_CASE("a token gives back what it was made of, through its bits too") {
  const role what = GENERATE(role::none, role::listener, role::connection);
  const std::uint32_t slot = GENERATE(0U, 1U, 0x80'0000U, token::max_slots - 1);
  const std::uint32_t generation = GENERATE(0U, 1U, 0x8000'0000U, 0xffff'ffffU);
  CAPTURE(slot, generation);
  const token made(what, slot, generation);
  CHECK(made.what() == what);
  CHECK(made.slot() == slot);
  CHECK(made.generation() == generation);
  CHECK(token::from_bits(made.bits()) == made);
}

TEST_CASE("tokens differ when any part differs") {
  const token one(role::connection, 7, 9);
  CHECK(one == token(role::connection, 7, 9));
  CHECK(one != token(role::listener, 7, 9));
  CHECK(one != token(role::connection, 8, 9));
  CHECK(one != token(role::connection, 7, 10));
}

TEST_CASE("a token of nothing is 0, and no slot of a connection or listener looks like it") {
  CHECK(token().bits() == 0);
  CHECK(token().what() == role::none);
  CHECK(token(role::listener, 0, 0) != token());
  CHECK(token(role::connection, 0, 0) != token());
}

TEST_CASE("four events share a cache line, and two changes") {
  CHECK(sizeof(token) == 8);
  CHECK(sizeof(hinge::event) * 4 == 64);
  CHECK(sizeof(hinge::change) * 2 == 64);
  CHECK(std::is_trivially_copyable_v<hinge::event>);
  CHECK(std::is_trivially_copyable_v<hinge::change>);
}

TEST_CASE("an event or change that says nothing of a buffer or descriptor has none") {
  CHECK(hinge::event{}.buffer == hinge::no_buffer);
  CHECK(hinge::event{}.more == 0);
  CHECK(hinge::change{}.buffer == hinge::no_buffer);
  CHECK(hinge::change{}.fd == -1);
  CHECK(hinge::change{}.flags == 0);
}

TEST_CASE("hints and flags are bits of their own") {
  namespace bits = hinge::readiness;
  CHECK((bits::in | bits::out | bits::end | bits::error) ==
        bits::in + bits::out + bits::end + bits::error);
  CHECK((hinge::change::then_close & hinge::change::more_follows) == 0);
  CHECK(hinge::detach_result::released != hinge::detach_result::closed);
}
