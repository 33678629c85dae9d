// The listeners of a server: all loops have one, or none of them has; and whom they let in while it
// runs.
#include <hinge/address_rules.hpp>
#include <hinge/network.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include "support/descriptors.hpp"
#include "support/house_of_loops.hpp"
#include "support/listening.hpp"

namespace hinge::test {
namespace {

std::size_t told_listeners(const served& of) {
  std::size_t count = 0;
  of.each_listener([&](std::size_t, const listener& one) { count += bool(one); });
  return count;
}

}  // namespace

TEST_CASE("a server's listen that fails for want of descriptors leaves nothing behind") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  house_of_loops house(of);
  server_options options{.loops = loop_count, .policy = policy};
  options.loop.max_connections = 64;
  options.loop.receive_buffers = 32;
  options.loop.on_exhaustion = exhaustion::shed_reset;
  REQUIRE(house.server.open(options));
  const bool given = GENERATE(false, true);
  std::size_t failed = 0;
  for (;; ++failed) {
    std::vector<listener> group;
    const std::size_t before = open_descriptors();
    if (given)
      for (int i = 0; i < 2; ++i)
        group.push_back(
            opened(i == 0 ? address::loopback(0) : group.front().local(), {.reuse_port = true}));
    result<std::size_t> index = 0;
    {
      const no_descriptors scarce(failed);
      index =
          given ? house.server.listen(std::move(group)) : house.server.listen(address::loopback(0));
    }
    if (index) break;
    REQUIRE(failed < 100);
    CHECK(index.error().code() == EMFILE);
    CHECK(house.server.listeners() == 0);
    CHECK(told_listeners(house.server) == 0);
    CHECK(house.server.plan_retirement().empty());
    CHECK(open_descriptors() == before);
  }
  CHECK(failed > 0);
  REQUIRE(house.server.start());
  for (const unique_fd& one : clients(loop_count, house.server.listener_at(0).local()))
    CHECK(answer(one.get()).size() == 2);
}

TEST_CASE("a server has at most 64 listeners, and one too many is refused for all loops") {
  const accept_policy policy =
      GENERATE(accept_policy::automatic, accept_policy::sharded, accept_policy::dispatch);
  INFO(policy_name(policy));
  house_of_loops house(usable().front());
  REQUIRE(house.open(policy));
  const std::size_t each = policy == accept_policy::sharded ? loop_count : 1;
  const auto listen = [&](std::size_t count) {
    std::vector<listener> group;
    for (std::size_t i = 0; i < count; ++i)
      group.push_back(
          opened(i == 0 ? address::loopback(0) : group.front().local(), {.reuse_port = true}));
    const auto index = house.server.listen(std::move(group));
    return index ? 0 : index.error().code();
  };
  CHECK(listen(65 * each) == ENOSPC);
  CHECK(house.server.listeners() == 0);
  CHECK(listen(63 * each) == 0);
  CHECK(listen(2 * each) == ENOSPC);
  CHECK(house.server.listeners() == 63);
  CHECK(told_listeners(house.server) == 63 * each);
  CHECK(listen(each) == 0);
  CHECK(house.server.listeners() == 64);
}

TEST_CASE("whom a listener lets in can be changed while the server runs, under each policy") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  house_of_loops house(of);
  REQUIRE(house.open(policy, policy == accept_policy::thread_per_connection ? 64 : loop_count));
  const std::array everybody = {network::of_ipv4()};
  const auto nobody = std::make_shared<const address_rules>(*address_rules::make({}, everybody));
  REQUIRE(house.server.listen(address::loopback(0)));
  REQUIRE(house.server.listen(address::loopback(0)));
  // Before it starts, too.
  REQUIRE(house.server.set_door(1, {.rules = nobody}));
  REQUIRE(house.server.start());
  const address first = house.server.listener_at(0).local();
  const address second = house.server.listener_at(1).local();
  const auto let_in = [&](const address& at) {
    (void)house.server.statistics();  // asked behind what was posted
    std::size_t count = 0;
    for (const unique_fd& one : clients(6, at)) {
      char byte = 'x';
      count += ::send(one.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(one.get(), &byte, 1, 0) > 0;
    }
    return count;
  };
  CHECK(let_in(first) == 6);
  CHECK(let_in(second) == 0);
  REQUIRE(house.server.set_door(0, {.rules = nobody}));
  REQUIRE(house.server.set_door(1, {}));
  CHECK(let_in(first) == 0);
  CHECK(let_in(second) == 6);
  const loop_counters total = house.server.statistics().total();
  CHECK(total.closed[static_cast<std::size_t>(close_cause::denied)] == 12);
  const auto limited = house.server.set_door(0, {.max_connections = 1});
  const bool apart =
      policy == accept_policy::dispatch || policy == accept_policy::thread_per_connection;
  CHECK(limited.has_value() == !apart);
  if (!limited) CHECK(limited.error().code() == EOPNOTSUPP);
}

}  // namespace hinge::test
