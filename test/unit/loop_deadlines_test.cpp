// Deadlines of many connections at once, in virtual time.
#include "support/clocked_poller.hpp"
#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/eventfd.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

using namespace hinge::test;
using namespace std::chrono_literals;

namespace {

struct counting {
  std::size_t accepts = 0;
  std::size_t closes = 0;

  void on_accept(hinge::connection) { ++accepts; }
  void on_data(hinge::connection, std::span<std::byte>) {}
  void on_close(hinge::connection, hinge::close_cause) { ++closes; }
};

hinge::event accepted_one() {
  return {.subject = hinge::token(hinge::role::listener, 0, 0),
          .result = eventfd(0, EFD_CLOEXEC),
          .buffer = 0,
          .kind = hinge::event_kind::accepted,
          .more = 1};
}

}  // namespace

TEST_CASE("Ten thousand connections that are due at once leave other events their turn") {
  constexpr std::size_t many = 10'000;
  constexpr std::size_t most_of_a_turn = 256;
  if (raise_descriptor_limit() < many + 100) SKIP("a limit of descriptors below 10,100");
  hinge::loop<clocked_poller, counting> tested;
  REQUIRE(tested.open({.max_connections = many + 1, .first_byte_timeout = 100ms}));
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  const counting& seen = tested.handler();
  while (seen.accepts < many) {
    tested.poller().script.push_back({0ms, std::vector<hinge::event>(50)});
    for (hinge::event& each : tested.poller().script.back().events) each = accepted_one();
    tested.turn();
  }
  tested.poller().script.push_back({10s});
  tested.turn();
  CHECK(seen.closes != 0);
  CHECK(seen.closes <= most_of_a_turn);
  tested.poller().script.push_back({0ms, {accepted_one()}});
  for (std::size_t before = seen.closes, turns = 0; seen.closes < many && turns < 100; ++turns) {
    tested.turn();
    CHECK(tested.poller().until.passed(tested.now()));
    CHECK(seen.accepts == many + 1);
    CHECK(seen.closes > before);
    CHECK(seen.closes - before <= most_of_a_turn);
    before = seen.closes;
  }
  CHECK(seen.closes == many);
  CHECK(tested.open_connections() == 1);
}
