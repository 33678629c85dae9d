// Several loops under each accept policy, on each backend that can do it: real threads, real
// sockets. What a policy can't do is refused, and nothing stays behind.
#include <hinge/any_poller.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <future>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "support/by_cpu.hpp"
#include "support/house_of_loops.hpp"
#include "support/listening.hpp"
#include "support/sized.hpp"
#include "support/temporary_folder.hpp"

using namespace std::chrono_literals;
using hinge::accept_policy;
using hinge::backend;

namespace hinge::test {
namespace {

TEST_CASE("each policy serves all connections and counts each once") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const leak_check nothing_leaks;
  {
    house_of_loops house(of);
    const std::uint32_t loops = policy == accept_policy::thread_per_connection ? 64 : loop_count;
    const auto opened = house.open(policy, loops);
    INFO(opened.error().text());
    REQUIRE(opened);
    REQUIRE(house.server.listen(address::loopback(0)));
    REQUIRE(house.server.start());
    const address at = house.server.listener_at(0).local();
    std::vector<unique_fd> open = clients(30, at);
    for (const unique_fd& one : open) CHECK(answer(one.get()).ends_with('x'));
    server_statistics seen = house.server.statistics();
    CHECK(seen.total().accepted == 30);
    CHECK(seen.open_connections() == 30);
    REQUIRE(seen.listeners.size() == 1);
    CHECK(seen.listeners[0].where == at);
    CHECK(seen.listeners[0].accepting);
    CHECK_FALSE(seen.listeners[0].closed);
    open.resize(10);
    house.server.drain(2s);
    open.clear();
    CHECK(house.server.join());
    seen = house.server.statistics();
    CHECK(seen.open_connections() == 0);
    CHECK(seen.total().closed_total() + seen.total().shed == 30);
    CHECK(seen.listeners[0].closed);
    CHECK_FALSE(seen.listeners[0].accepting);
    CHECK(try_connect(at) == ECONNREFUSED);
  }
}

TEST_CASE("what a backend can't do is refused with the reason, and leaves nothing") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (can_do(of, policy) || policy == accept_policy::sharded_cpu) return;
  const leak_check nothing_leaks;
  house_of_loops house(of);
  const auto opened = house.open(policy);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == EOPNOTSUPP);
  CHECK(opened.error().text().find("accept_sharing") != std::string::npos);
}

/// Sockets of one port, as from a predecessor that was sharded, or from a supervisor.
std::vector<listener> given_group(std::size_t count) {
  std::vector<listener> group;
  address at = address::loopback(0);
  for (std::size_t i = 0; i < count; ++i) {
    group.push_back(opened(at, {.reuse_port = true}));
    at = group.front().local();
  }
  return group;
}

TEST_CASE("sockets that were given are all served, whatever the policy") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  const std::size_t count = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy) << ' ' << count);
  const leak_check nothing_leaks;
  house_of_loops house(of);
  const bool own_threads = policy == accept_policy::thread_per_connection;
  REQUIRE(house.open(policy, own_threads ? 64 : loop_count));
  std::vector<listener> group = given_group(count);
  const address at = group.front().local();
  // In each queue somebody waits already.
  const std::vector<unique_fd> early = clients(24, at);
  const auto index = house.server.listen(std::move(group));
  INFO(index.error().text());
  REQUIRE(index);
  CHECK(*index == 0);
  const bool sharded = policy == accept_policy::sharded || policy == accept_policy::sharded_cpu;
  // 4 for 3 loops: two each.
  const std::size_t rounds = sharded ? (count + loop_count - 1) / loop_count : count;
  CHECK(house.server.listeners() == rounds);
  std::size_t sockets = 0;
  house.server.each_listener([&](std::size_t which, const listener& one) {
    CHECK(which == (sharded ? sockets / loop_count : sockets));
    CHECK(one.local() == at);
    ++sockets;
  });
  CHECK(sockets == (sharded ? rounds * loop_count : count));
  REQUIRE(house.server.start());
  for (const unique_fd& one : early) CHECK(answer(one.get()).ends_with('x'));
  for (const unique_fd& one : clients(24, at)) CHECK(answer(one.get()).ends_with('x'));
  CHECK(house.server.statistics().total().accepted == 48);
}

TEST_CASE("what was given and can't be served is refused") {
  house_of_loops house(usable().front());
  REQUIRE(house.open(accept_policy::sharded));
  const auto code_of = [&](std::vector<listener> given) {
    const auto index = house.server.listen(std::move(given));
    return index ? 0 : index.error().code();
  };
  CHECK(code_of({}) == EINVAL);
  std::vector<listener> apart = given_group(1);
  apart.push_back(opened(address::loopback(0)));
  CHECK(code_of(std::move(apart)) == EINVAL);
  std::vector<listener> alone;
  alone.push_back(opened(address::loopback(0)));
  CHECK(code_of(std::move(alone)) == EOPNOTSUPP);
}

TEST_CASE("a path that a server gives away stays when it ends, and goes when it was taken over") {
  const accept_policy policy = GENERATE(accept_policy::automatic, accept_policy::dispatch);
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  path_identity file;
  {
    house_of_loops house(usable().front());
    REQUIRE(house.open(policy));
    REQUIRE(house.server.listen(at));
    house.server.each_listener([&](std::size_t, const listener& one) { file = one.path_file(); });
    REQUIRE(house.server.start());
    house.server.set_path_file(0, {});
    house.server.drain(0s);
    REQUIRE(house.server.join());
  }
  CHECK_FALSE(folder.empty());
  house_of_loops next(usable().front());
  REQUIRE(next.open(policy));
  REQUIRE(next.server.listen(at, {.remove_stale_path = true}));
  next.server.each_listener([&](std::size_t, const listener& one) { file = one.path_file(); });
  REQUIRE(next.server.start());
  next.server.set_path_file(0, {});
  next.server.set_path_file(0, file);
  next.server.drain(0s);
  REQUIRE(next.server.join());
  CHECK(folder.empty());
}

TEST_CASE("a server that doesn't open leaves nothing") {
  const leak_check nothing_leaks;
  house_of_loops house(usable().front());
  server_options options{.loops = 4};
  options.loop.head_room = 0xffff'ff00;
  const auto opened = house.server.open(options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == EINVAL);
}

TEST_CASE("what all connections may queue is shared out among the loops") {
  constexpr std::size_t one_may = loop_options{}.queue_limit_bytes;
  for (const std::size_t all_may : {30 * one_may, 2 * one_may}) {
    house_of_loops house(usable().front());
    REQUIRE(house.server.open({.loops = loop_count, .loop = {.queue_total_bytes = all_may}}));
    std::size_t loops = 0;
    house.server.each_loop([&](auto& loop) {
      CHECK(loop.options().queue_total_bytes == std::max(all_may / loop_count, one_may));
      ++loops;
    });
    CHECK(loops == loop_count);
  }
  house_of_loops house(usable().front());
  const auto opened = house.server.open({.loops = 2, .loop = {.queue_total_bytes = one_may - 1}});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == EINVAL);
}

#ifdef SO_INCOMING_CPU
TEST_CASE("sharded_cpu: a connection is served on the CPU that received it") {
  need_linux();
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const bool by_option = GENERATE(false, true);
  const std::uint32_t loops = GENERATE(1, 2, 3, 5);
  const std::vector<int> cpus = cpus_of_this_thread();
  // Of a loop more than CPUs SO_INCOMING_CPU knows nothing.
  if (by_option && loops > cpus.size()) return;
  server<any_poller, tells_cpu> tested([](std::uint32_t index) { return tells_cpu{index}; },
                                       [of] { return *any_poller::of(of); });
  REQUIRE(tested.open({.loops = loops,
                       .policy = accept_policy::sharded_cpu,
                       .by_incoming_cpu = by_option,
                       .loop = {.max_connections = 256}}));
  REQUIRE(tested.listen(address::loopback(0)));
  REQUIRE(tested.start());
  const address at = tested.listener_at(0).local();
  for (const int cpu : cpus) {
    if (loops < cpus.size() && cpu != cpus[0]) continue;  // shared by those left over
    const pinned here(cpu);
    for (const unique_fd& one : clients(20, at)) {
      const std::string said = answer(one.get());
      REQUIRE(said.size() == 2);
      CHECK(said[1] == cpu);
      CHECK(cpus[static_cast<std::size_t>(said[0]) % cpus.size()] == cpu);
    }
  }
}
#endif

TEST_CASE("a shared Unix socket, and a sharded one is refused") {
  const backend of = GENERATE(from_range(usable()));
  const temporary_folder folder;
  const address at = *address::unix_path(folder.path() + "/socket");
  {
    house_of_loops house(of);
    REQUIRE(house.open(accept_policy::sharded));
    const auto refused = house.server.listen(at);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == EOPNOTSUPP);
    CHECK(try_connect(at) == ENOENT);
  }
  house_of_loops house(of);
  REQUIRE(house.open(accept_policy::automatic));
  REQUIRE(house.server.listen(at));
  REQUIRE(house.server.start());
  for (const unique_fd& one : clients(10, at)) CHECK(answer(one.get()).size() == 2);
  house.server.stop();
  CHECK(house.server.join());
  CHECK(try_connect(at) == ENOENT);
}

/// Clients that come, ask four times and go, again and again, each in a thread; where nobody
/// listens any more, or they are cut off, they go on at the next place.
class load_on {
public:
  load_on() {
    for (std::thread& one : threads_) one = std::thread([this] { run(); });
  }
  ~load_on() {
    ends_ = true;
    for (std::thread& one : threads_) one.join();
  }
  load_on(const load_on&) = delete;
  load_on& operator=(const load_on&) = delete;
  void moves_to(std::uint16_t port) { port_ = port; }
  void until_answered(std::uint64_t more) const {
    const std::uint64_t enough = answered_ + more;
    while (answered_ < enough) std::this_thread::sleep_for(1ms);
  }

private:
  void run() {
    while (!ends_) {
      const std::uint16_t port = port_;
      const unique_fd peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      // Whom nobody answers any more tries elsewhere.
      const timeval patience{.tv_sec = 1, .tv_usec = 0};
      ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      if (port == 0 || sockets::connect(peer.get(), address::loopback(port)) != 0) {
        std::this_thread::sleep_for(1ms);
        continue;
      }
      std::array<char, 2> got{};
      for (int i = 0; i < 4 && !ends_; ++i) {
        if (::send(peer.get(), "x", 1, MSG_NOSIGNAL) != 1) break;
        if (::recv(peer.get(), got.data(), got.size(), 0) <= 0) break;
        ++answered_;
      }
      sockets::reset_on_close(peer.get());  // its port is free at once
    }
  }

  std::atomic<bool> ends_{false};
  std::atomic<std::uint16_t> port_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::array<std::thread, 8> threads_;
};

TEST_CASE("started and stopped many times under load, and each connection has its end") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const leak_check nothing_leaks;
  {
    load_on load;
    for (int round = 0; round < sized(5, 200); ++round) {
      house_of_loops house(of);
      REQUIRE(house.open(policy, policy == accept_policy::thread_per_connection ? 8 : loop_count));
      REQUIRE(house.server.listen(address::loopback(0)));
      REQUIRE(house.server.start());
      load.moves_to(house.server.listener_at(0).local().port());
      load.until_answered(20);
      house.server.stop();
      CHECK(house.server.join());
      const loop_counters total = house.server.statistics().total();
      CHECK(total.accepted >= 5);
      CHECK(total.accepted == total.closed_total() + total.shed);
    }
  }
}

TEST_CASE("posted tasks run in each loop's thread") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy = GENERATE(from_range(every_policy));
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy));
  const bool own_threads = policy == accept_policy::thread_per_connection;
  const std::uint32_t loops = own_threads ? 64 : loop_count;
  house_of_loops house(of);
  REQUIRE(house.open(policy, loops));
  REQUIRE(house.server.listen(address::loopback(0)));
  REQUIRE(house.server.start());
  // Also while loops are still made.
  std::atomic<bool> enough = false;
  std::thread apart([&] {
    while (!enough) {
      house.server.post_all([](std::uint32_t) {});
      std::this_thread::yield();
    }
  });
  const std::vector<unique_fd> open = clients(loop_count, house.server.listener_at(0).local());
  for (const unique_fd& one : open) CHECK(answer(one.get()).ends_with('x'));
  enough = true;
  apart.join();
  std::array<std::atomic<int>, 64> ran{};
  house.server.post_all([&](std::uint32_t index) { ++ran[index]; });
  CHECK(house.server.post(1, [&] { ++ran[1]; }));
  CHECK(house.server.post(loops - 1, [] {}) == !own_threads);
  (void)house.server.statistics();  // asked behind them
  CHECK(ran[0] == 1);
  CHECK(ran[1] == 2);
  CHECK(ran[2] == 1);
}

TEST_CASE("a loop that hangs is waited for no longer than was said, and the others are told") {
  const accept_policy policy = GENERATE(accept_policy::automatic, accept_policy::dispatch);
  house_of_loops house(usable().front());
  REQUIRE(house.open(policy));
  REQUIRE(house.server.listen(address::loopback(0)));
  REQUIRE(house.server.start());
  const address at = house.server.listener_at(0).local();
  for (const unique_fd& one : clients(6, at)) CHECK(answer(one.get()).ends_with('x'));
  const std::uint64_t before = house.server.statistics().total().accepted;
  CHECK(before == 6);
  std::promise<void> go_on;
  house.server.post(1, [hangs = go_on.get_future().share()] { hangs.wait(); });
  for (int i = 0; i < 3; ++i) {
    const server_statistics seen = house.server.statistics(5ms);
    CHECK(seen.loops[1].late);
    CHECK(seen.late >= 1);
    CHECK(seen.total().accepted == before);
  }
  go_on.set_value();
  const server_statistics seen = house.server.statistics();
  CHECK(seen.late == 0);
  CHECK_FALSE(seen.loops[1].late);
}

TEST_CASE("who hangs has no part in the figures of the listeners") {
  house_of_loops house(usable().front());
  REQUIRE(house.open(accept_policy::automatic));
  REQUIRE(house.server.listen(address::loopback(0)));
  REQUIRE(house.server.start());
  const std::optional<std::uint32_t> known = house.server.listener_at(0).waiting();
  server_statistics seen = house.server.statistics();
  CHECK(seen.listeners[0].accepting);
  CHECK(seen.listeners[0].waiting == known);
  std::promise<void> go_on;
  house.server.post_all([hang = go_on.get_future().share()](std::uint32_t) { hang.wait(); });
  seen = house.server.statistics(5ms);
  CHECK(seen.late == loop_count);
  CHECK_FALSE(seen.listeners[0].accepting);
  CHECK_FALSE(seen.listeners[0].waiting);
  CHECK(seen.listeners[0].where == house.server.listener_at(0).local());
  go_on.set_value();
  CHECK(house.server.statistics().listeners[0].accepting);
}

TEST_CASE("fairness: one for equal shares, 1/N for one who has all") {
  CHECK(fairness_of(std::vector<std::uint64_t>{}) == 1);
  CHECK(fairness_of(std::vector<std::uint64_t>{0, 0}) == 1);
  CHECK(fairness_of(std::vector<std::uint64_t>{7, 7, 7}) == 1);
  CHECK(fairness_of(std::vector<std::uint64_t>{0, 800, 0, 0}) == 0.25);
}

TEST_CASE("the sum of all loops has each counter of each") {
  server_statistics seen;
  seen.loops.resize(2);
  std::uint64_t next = 1;
  for (const loop_counter& one : loop_counter_table) {
    seen.loops[0].counters.*one.count = next;
    seen.loops[1].counters.*one.count = 1000 * next++;
  }
  for (loop_statistics& one : seen.loops) {
    one.counters.closed.fill(1);
    one.counters.handed_over = 0;  // is left out of the sum
  }
  const loop_counters sum = seen.total();
  next = 1;
  for (const loop_counter& one : loop_counter_table) {
    const bool left_out = one.count == &loop_counters::handed_over;
    CHECK(sum.*one.count == (left_out ? 0 : 1001 * next));
    ++next;
  }
  CHECK(sum.closed_total() == 2 * close_causes);
}

TEST_CASE("a policy has a name, and a name its policy") {
  for (const accept_policy one : every_policy) CHECK(policy_named(policy_name(one)) == one);
  CHECK_FALSE(policy_named("round_robin"));
}

}  // namespace
}  // namespace hinge::test
