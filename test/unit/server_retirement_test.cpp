// Servers whose listeners retire, on each backend and under each policy.
#include <hinge/any_poller.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/retiring.hpp"

using namespace std::chrono_literals;

namespace hinge::test {
namespace {

constexpr std::array retiring_policies = {
    accept_policy::sharded,     accept_policy::sharded_cpu,
    accept_policy::shared_fifo, accept_policy::shared_exclusive,
    accept_policy::dispatch,    accept_policy::thread_per_connection,
};

bool does_policy(backend of, accept_policy policy) {
  if (policy == accept_policy::shared_fifo) return of == backend::io_uring;
  return policy != accept_policy::shared_exclusive || of != backend::io_uring;
}

/// Has it running with two loops.
std::unique_ptr<server<any_poller, retiring_echo>> retiring_server(backend of,
                                                                   accept_policy policy) {
  auto made = std::make_unique<server<any_poller, retiring_echo>>(
      [](std::uint32_t) { return retiring_echo{}; }, [of] { return *any_poller::of(of); });
  const std::uint32_t loops = policy == accept_policy::thread_per_connection ? 128 : 2;
  REQUIRE(made->open({.loops = loops, .policy = policy, .loop = {.max_connections = 256}}));
  return made;
}

}  // namespace

TEST_CASE("retirement: a server beside a sibling loses nobody, under each policy") {
  need_linux();
  const backend of = GENERATE(from_range(usable_for_retiring()));
  const accept_policy policy = GENERATE(from_range(retiring_policies));
  if (!does_policy(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const leak_check nothing_leaks;
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0), shared_port));
  REQUIRE(leaving->start());
  const address at = leaving->listener_at(0).local();
  const listener sibling = opened(at, shared_port);
  clients all;
  connect_some(all, at, 20);
  const std::vector<retire_plan> plans = leaving->plan_retirement();
  REQUIRE(plans.size() == 1);
  CHECK(plans[0].text() == "1 sibling: no loss");
  retire_report done;
  std::thread apart([&] { done = leaving->retire(); });
  connect_some(all, at, 40);
  apart.join();
  connect_some(all, at, 10);
  CHECK(done.by == retire_guarantee::steers);
  CHECK(done.lost == 0);
  CHECK(reset_ones(all) == 0);
  server_statistics seen = leaving->statistics();
  CHECK(seen.total().accepted + sibling.waiting().value_or(0) == all.size());
  CHECK(seen.total().shed == 0);
  leaving->stop();
  CHECK(leaving->join());
}

TEST_CASE("retirement: all listeners of a server, and then their ports are free") {
  const backend of = GENERATE(from_range(usable_for_retiring()));
  const accept_policy policy = GENERATE(from_range(retiring_policies));
  if (!does_policy(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0)));
  REQUIRE(leaving->listen(address::loopback6(0)));
  REQUIRE(leaving->start());
  const retire_report done = leaving->retire();
  CHECK(done.by == retire_guarantee::puts_off);
  CHECK(done.lost == 0);
  for (std::size_t i = 0; i < 2; ++i) CHECK(bind_plainly(leaving->listener_at(i).local()) == 0);
  leaving->drain(0s);
  CHECK(leaving->join());
}

TEST_CASE("retirement: a server that is stopped meanwhile ends all the same") {
  const backend of = GENERATE(from_range(usable_for_retiring()));
  const accept_policy policy = GENERATE(from_range(retiring_policies));
  if (!does_policy(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0), shared_port));
  REQUIRE(leaving->start());
  const listener sibling = opened(leaving->listener_at(0).local(), shared_port);
  std::thread apart([&] { (void)leaving->retire({.within = 1s}); });
  leaving->stop();
  CHECK(leaving->plan_retirement().at(0).sockets == 0);
  CHECK(leaving->join());
  apart.join();
  CHECK_FALSE(leaving->listener_at(0));
}

}  // namespace hinge::test
