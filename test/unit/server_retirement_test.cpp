// Servers whose listeners retire, on each backend and under each policy.
#include <hinge/any_poller.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/by_cpu.hpp"
#include "support/house_of_loops.hpp"
#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/retiring.hpp"
#include "sys.hpp"

using namespace std::chrono_literals;

namespace hinge::test {
namespace {

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
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const leak_check nothing_leaks;
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0), shared_port));
  REQUIRE(leaving->start());
  const address at = leaving->listener_at(0).local();
  const listener sibling = opened(at, shared_port);
  std::vector<unique_fd> all;
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
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0)));
  REQUIRE(leaving->listen(address::loopback6(0)));
  REQUIRE(leaving->start());
  const retire_report done = leaving->retire();
  CHECK(done.by == (masked ? retire_guarantee::empties : retire_guarantee::puts_off));
  CHECK(done.lost == 0);
  for (std::size_t i = 0; i < 2; ++i) CHECK(bind_plainly(leaving->listener_at(i).local()) == 0);
  leaving->drain(0s);
  CHECK(leaving->join());
}

TEST_CASE("retirement: a server that is stopped meanwhile ends all the same") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const auto leaving = retiring_server(of, policy);
  REQUIRE(leaving->listen(address::loopback(0), shared_port));
  REQUIRE(leaving->start());
  const listener sibling = opened(leaving->listener_at(0).local(), shared_port);
  retire_report done;
  std::thread apart([&] { done = leaving->retire({.within = 60s}); });
  leaving->stop();
  CHECK(leaving->plan_retirement().at(0).sockets == 0);
  CHECK(leaving->join());
  apart.join();
  CHECK(done.took < 30s);
  CHECK_FALSE(leaving->listener_at(0));
}

namespace {

/// As a listener is duplicated in another thread, its loop is told to close it.
struct closing_meanwhile {
  static inline std::atomic<int> number = -1;  // of its descriptor
  static inline std::atomic<bool> closed = false;
  static inline std::function<void()> order = {};

  closing_meanwhile() {
    sys::current.close = [](int fd) noexcept {
      if (fd == number) closed = true;
      return sys::real.close(fd);
    };
    sys::current.fcntl = [](int fd, int what, int argument) noexcept {
      if (fd == number && what == F_DUPFD_CLOEXEC) {
        order();
        for (int i = 0; i < 100 && !closed; ++i) std::this_thread::sleep_for(1ms);
        number = -1;
      }
      return sys::real.fcntl(fd, what, argument);
    };
  }
  closing_meanwhile(const closing_meanwhile&) = delete;
  closing_meanwhile& operator=(const closing_meanwhile&) = delete;
  ~closing_meanwhile() { sys::current = sys::real; }
};

}  // namespace

TEST_CASE("retirement: a plan looks at no listener that its loop is closing") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const closing_meanwhile hooks;
  const auto leaving = retiring_server(of, accept_policy::sharded);
  REQUIRE(leaving->listen(address::loopback(0), shared_port));
  const int number = leaving->loop_at(1).listener_at(0).fd();
  REQUIRE(leaving->start());
  CHECK(leaving->plan_retirement(0).sockets == 2);
  hooks.closed = false;
  auto& second = leaving->loop_at(1);
  hooks.order = [&] { second.post([&] { second.close_listener(0, door_exit::at_once); }); };
  hooks.number = number;
  // It was there, and its descriptor's number is given back when that has been seen.
  CHECK(leaving->plan_retirement(0).sockets == 2);
  CHECK(hooks.number == -1);
  CHECK_FALSE(hooks.closed);
  std::uint32_t left = 2;
  for (int i = 0; i < 1000 && left == 2; ++i) {
    std::this_thread::sleep_for(1ms);
    left = leaving->plan_retirement(0).sockets;
  }
  CHECK(left == 1);
  leaving->stop();
  CHECK(leaving->join());
}

#ifdef SO_INCOMING_CPU
TEST_CASE("retirement: sharded_cpu goes on by CPU when its sibling has left, and when one comes") {
  need_linux();
  const std::vector<int> cpus = cpus_of_this_thread();
  if (cpus.size() < 2) SKIP("one CPU alone");
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const auto made = [&](const address& at) {
    auto one = std::make_unique<server<any_poller, tells_cpu>>(
        [](std::uint32_t index) { return tells_cpu{index}; }, [of] { return *any_poller::of(of); });
    REQUIRE(one->open({.loops = static_cast<std::uint32_t>(cpus.size()),
                       .policy = accept_policy::sharded_cpu,
                       .loop = {.max_connections = 256}}));
    REQUIRE(one->listen(at, shared_port));
    REQUIRE(one->start());
    return one;
  };
  // Which loop of `by` serves whom its CPU receives; nobody else does.
  const auto served_by_cpu = [&](auto& by) {
    const std::uint64_t before = by.statistics().total().accepted;
    for (const int cpu : cpus) {
      const pinned here(cpu);
      for (const unique_fd& one : clients(20, by.listener_at(0).local())) {
        const std::string said = answer(one.get());
        REQUIRE(said.size() == 2);
        CHECK(said[1] == cpu);
        CHECK(cpus[static_cast<std::size_t>(said[0])] == cpu);
      }
    }
    CHECK(by.statistics().total().accepted == before + 20 * cpus.size());
  };
  const auto first = made(address::loopback(0));
  const auto second = made(first->listener_at(0).local());
  // The program is the first one's, and names its sockets.
  served_by_cpu(*first);
  CHECK(first->retire().by == retire_guarantee::steers);
  // Linux 6.2: the kernel's own choice heeds SO_INCOMING_CPU.
  served_by_cpu(*second);
  const auto third = made(second->listener_at(0).local());
  CHECK(second->retire().lost == 0);
  served_by_cpu(*third);
}
#endif

}  // namespace hinge::test
