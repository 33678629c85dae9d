// One thread accepts for the loops of the others: who has room gets a connection, and who doesn't
// can't be promised any.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "support/descriptors.hpp"
#include "support/house_of_loops.hpp"

using namespace std::chrono_literals;

namespace hinge::test {

TEST_CASE("dispatch gives each loop its share, and a full server lets others wait") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  house_of_loops house(of);
  REQUIRE(house.open(accept_policy::dispatch));
  REQUIRE(house.server.listen(address::loopback(0)));
  REQUIRE(house.server.start());
  const address at = house.server.listener_at(0).local();
  // 3 loops of 64 are full with 192.
  std::vector<unique_fd> open = clients(192, at);
  for (const unique_fd& one : open) CHECK(answer(one.get()).size() == 2);
  server_statistics seen = house.server.statistics();
  for (const loop_statistics& one : seen.loops) CHECK(one.counters.accepted == 64);
  CHECK(seen.fairness == 1);
  std::vector<unique_fd> waiting = clients(5, at);
  CHECK(house.server.statistics().total().accepted == 192);
  open.resize(150);
  for (const unique_fd& one : waiting) CHECK(answer(one.get()).size() == 2);
  seen = house.server.statistics();
  CHECK(seen.total().accepted == 197);
  CHECK(seen.total().shed == 0);
}

TEST_CASE("a limit that can't be counted across loops is refused") {
  house_of_loops house(usable().front());
  REQUIRE(house.open(accept_policy::dispatch));
  CHECK(house.server.listen(address::loopback(0), {}, {.max_pending = 2}).error().code() ==
        EOPNOTSUPP);
  CHECK(house.server.listen(address::loopback(0), {}, {.max_connections = 2}).error().code() ==
        EOPNOTSUPP);
  server_options of_sources{.loops = 2, .policy = accept_policy::dispatch};
  of_sources.loop.source.max_connections = 2;
  server_options of_networks{.loops = 2, .policy = accept_policy::dispatch};
  of_networks.loop.source_network.max_connections = 2;
  for (const server_options& options : {of_sources, of_networks}) {
    house_of_loops other(usable().front());
    CHECK(other.server.open(options).error().code() == EOPNOTSUPP);
  }
}

TEST_CASE("thread_per_connection: as many threads as connections may be") {
  house_of_loops house(usable().front());
  server_options options{.policy = accept_policy::thread_per_connection};
  options.loop.max_connections = 3;
  options.loop.receive_buffers = 32;
  REQUIRE(house.server.open(options));
  CHECK(house.server.loops() == 3);
  CHECK(house.server.max_connections() == 3);
}

TEST_CASE("the places of a server are those of its loops, without the acceptor's") {
  house_of_loops house(usable().front());
  server_options options{.loops = 2, .policy = accept_policy::dispatch};
  options.loop.max_connections = 5;
  REQUIRE(house.server.open(options));
  CHECK(house.server.max_connections() == 10);
}

TEST_CASE("thread_per_connection: who can't have a thread waits") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  house_of_loops house(of);
  REQUIRE(house.open(accept_policy::thread_per_connection, 16));
  REQUIRE(house.server.listen(address::loopback(0)));
  const address at = house.server.listener_at(0).local();
  const auto come = clients(16, at);
  std::size_t served = 0;
  {
    // Each loop takes a few, so that some have one.
    const no_descriptors scarce(20);
    REQUIRE(house.server.start());
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (house.server.statistics().total().accepted == 0 &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(300ms);  // three tries
    const loop_counters seen = house.server.statistics().total();
    served = seen.accepted;
    CHECK(served > 0);
    CHECK(served < 16);
    CHECK(seen.shed == 0);
    CHECK(seen.closed_total() == 0);
  }
  for (const unique_fd& one : come) CHECK(answer(one.get()).size() == 2);
  CHECK(house.server.statistics().total().accepted == 16);
}

TEST_CASE("thread_per_connection: a server is asked, and told, while it makes a loop") {
  std::promise<void> makes_one;
  std::promise<void> asked;
  std::atomic<bool> posted = false;
  std::atomic<bool> in_time = false;
  served* self = nullptr;  // which the factory may post to
  served tested(
      [&](std::uint32_t index) {
        if (index != 1) return named_echo{index};
        makes_one.set_value();
        posted = self->post(0, [] {});
        in_time = asked.get_future().wait_for(10s) == std::future_status::ready;
        return named_echo{index};
      },
      [] { return *any_poller::of(usable().front()); });
  self = &tested;
  REQUIRE(tested.open({.loops = 8, .policy = accept_policy::thread_per_connection}));
  REQUIRE(tested.listen(address::loopback(0)));
  REQUIRE(tested.start());
  const std::vector<unique_fd> first = clients(1, tested.listener_at(0).local());
  CHECK(answer(first[0].get()).size() == 2);
  const std::vector<unique_fd> second = clients(1, tested.listener_at(0).local());
  makes_one.get_future().wait();
  CHECK(tested.post(0, [] {}));
  CHECK(tested.statistics(5ms).late == 1);  // who makes it
  asked.set_value();
  CHECK(answer(second[0].get()).size() == 2);
  CHECK(posted);
  CHECK(in_time);
}

}  // namespace hinge::test
