// How servers end: as they were told to, whenever that was; and what becomes of the others when a
// loop ends before them.
#include <hinge/any_poller.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#ifdef HINGE_HAVE_URING
#include "ring_sys.hpp"
#endif
#include "socket_group.hpp"
#include "support/house_of_loops.hpp"
#include "support/listening.hpp"
#include "support/retiring.hpp"
#include "support/sized.hpp"

using namespace std::chrono_literals;

namespace hinge::test {
namespace {

/// What a test does to a poller.
struct tampering {
  std::atomic<bool> broken = false;
  std::atomic<bool> told = false;  ///< the loop has heard of it
  /// It goes on accepting, so many in a turn, whatever it is asked; 0: it does as it is asked.
  std::atomic<std::uint32_t> accept_room = 0;
};

#ifdef HINGE_HAVE_URING
/// While it lives the calling thread's ring can't be entered.
class ring_is_shut {
public:
  ring_is_shut() { here = true; }
  ~ring_is_shut() { here = false; }
  ring_is_shut(const ring_is_shut&) = delete;
  ring_is_shut& operator=(const ring_is_shut&) = delete;

  /// Before there are threads.
  static void make_possible() {
    sys::current_ring.io_uring_submit_and_get_events = [](io_uring* ring) {
      return here ? -EIO : sys::real_ring.io_uring_submit_and_get_events(ring);
    };
    sys::current_ring.io_uring_submit_and_wait_timeout = [](io_uring* ring, io_uring_cqe** first,
                                                            unsigned wait, __kernel_timespec* most,
                                                            sigset_t* signals) {
      return here ? -EIO
                  : sys::real_ring.io_uring_submit_and_wait_timeout(ring, first, wait, most,
                                                                    signals);
    };
  }

private:
  static inline thread_local bool here = false;
};
#else
struct ring_is_shut {
  static void make_possible() {}
};
#endif

class tampered_poller {
public:
  tampered_poller(any_poller of, std::shared_ptr<tampering> how)
      : of_(std::move(of)), how_(std::move(how)) {}

  result<void> open(const poller_options& options) noexcept { return of_.open(options); }
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) noexcept {
    if (how_->broken) {
      const int turned = broken_turn(changes, events, terms);
      if (turned < 0) how_->told = true;
      return turned;
    }
    if (how_->accept_room == 0) return of_.turn(changes, events, terms);
    terms.accept_room = how_->accept_room;
    kept_.clear();
    for (const change& one : changes)
      if (one.what != operation::stop_accept &&
          (one.what != operation::accept || !std::exchange(accepts_, true)))
        kept_.push_back(one);
    return of_.turn(kept_, events, terms);
  }
  void wake() const noexcept { of_.wake(); }
  void closing(int fd) noexcept { of_.closing(fd); }
  std::string_view name() const noexcept { return of_.name(); }
  poller_limits limits() const noexcept { return of_.limits(); }
  bool completes() const noexcept { return of_.completes(); }

private:
  /// A ring itself is broken: it goes on by itself.
  int broken_turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) {
    if (!of_.completes()) return -EIO;
    [[maybe_unused]] const ring_is_shut from_here_on;
    return of_.turn(changes, events, terms);
  }

  any_poller of_;
  std::shared_ptr<tampering> how_;
  std::vector<change> kept_;
  bool accepts_ = false;
};

/// A server whose pollers can be tampered with.
class fragile_house {
public:
  explicit fragile_house(backend of)
      : server([](std::uint32_t index) { return named_echo{index}; },
               [this, of] {
                 auto how = std::make_shared<tampering>();
                 const std::lock_guard lock(mutex_);
                 pollers_.push_back(how);
                 return any_poller::make(tampered_poller(*any_poller::of(of), std::move(how)));
               }) {}
  void open(accept_policy policy, std::uint32_t loops, std::uint32_t connections = 64) {
    ring_is_shut::make_possible();
    server_options options{.loops = loops, .policy = policy};
    options.loop.max_connections = connections;
    options.loop.receive_buffers = 32;
    REQUIRE(server.open(options));
    apart_ = policy == accept_policy::dispatch || policy == accept_policy::thread_per_connection;
    REQUIRE(server.listen(address::loopback(0)));
    at = server.listener_at(0).local();
  }
  /// Of the accepting loop, which is made first.
  tampering& acceptor() { return made(0); }
  tampering& of_loop(std::size_t index) { return made(index + apart_); }

  served server;
  address at;

private:
  tampering& made(std::size_t index) {
    const std::lock_guard lock(mutex_);
    return *pollers_[index];
  }

  std::mutex mutex_;  // with thread_per_connection the accepting thread makes some
  std::vector<std::shared_ptr<tampering>> pollers_;
  bool apart_ = false;
};

/// What the server answers to an "x" within 10 s; else nothing. Not by SO_RCVTIMEO, with which what
/// is left of a ring that this thread had ends a recv.
std::string prompt_answer(const unique_fd& client) {
  REQUIRE(::send(client.get(), "x", 1, MSG_NOSIGNAL) == 1);
  std::string got;
  const deadline until = deadline::after(now(), 10s);
  while (got.size() < 2 && !until.passed(now())) {
    pollfd one{.fd = client.get(), .events = POLLIN, .revents = 0};
    char byte;
    if (::poll(&one, 1, 100) <= 0) continue;
    if (::recv(client.get(), &byte, 1, MSG_DONTWAIT) != 1) break;
    got += byte;
  }
  return got;
}

bool ends_within(served& of, std::chrono::seconds patience) {
  auto joined = std::async(std::launch::async, [&] { return bool(of.join()); });
  const bool in_time = joined.wait_for(patience) == std::future_status::ready;
  if (!in_time) of.stop();
  joined.get();
  return in_time;
}

void check_sum(const server_statistics& seen) {
  const loop_counters total = seen.total();
  CHECK(total.accepted == total.closed_total() + total.shed + seen.open_connections());
}

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
  return condition();
}

/// Asked seldom: who is let in after all stays in the queue.
bool is_refused_soon(const address& at) {
  for (int i = 0; i < 50; ++i) {
    if (try_connect(at) == ECONNREFUSED) return true;
    std::this_thread::sleep_for(20ms * i);
  }
  return false;
}

constexpr std::array end_policies = {accept_policy::automatic, accept_policy::sharded,
                                     accept_policy::dispatch, accept_policy::thread_per_connection};

/// One connection is served, and two more have been accepted.
struct crowded_house : fragile_house {
  explicit crowded_house(backend of) : fragile_house(of) {
    open(accept_policy::dispatch, 1, 1);
    acceptor().accept_room = 8;  // as a ring may tell of more than it was asked for
    come = clients(3, at);
    REQUIRE(server.start());
    REQUIRE(comes_true([&] { return server.statistics().acceptor->counters.handed_over == 3; }));
    CHECK(prompt_answer(come[0]) == "ax");
  }
  std::vector<unique_fd> come;
};

}  // namespace

TEST_CASE("a server that was told to end before it starts ends") {
  const accept_policy policy = GENERATE(from_range(end_policies));
  const bool drains = GENERATE(false, true);
  INFO(policy_name(policy) << ' ' << drains);
  house_of_loops house(usable().front());
  REQUIRE(house.open(policy));
  REQUIRE(house.server.listen(address::loopback(0)));
  drains ? house.server.drain(0s) : house.server.stop();
  REQUIRE(house.server.start());
  CHECK(ends_within(house.server, 10s));
}

TEST_CASE("a server that is told to end while it starts ends") {
  const accept_policy policy = GENERATE(from_range(end_policies));
  INFO(policy_name(policy));
  int in_time = 0;
  const int rounds = sized(30, 1000);
  for (int round = 0; round < rounds; ++round) {
    house_of_loops house(usable().front());
    REQUIRE(house.open(policy, 8));
    REQUIRE(house.server.listen(address::loopback(0)));
    std::atomic<bool> begins = false;
    std::thread apart([&] {
      while (!begins) {
      }
      std::this_thread::sleep_for(10us * (round % 30));
      round % 2 == 0 ? house.server.stop() : house.server.drain(0s);
    });
    begins = true;
    CHECK(house.server.start());
    apart.join();
    const bool ended = ends_within(house.server, 10s);
    in_time += ended;
    if (!ended) break;
  }
  CHECK(in_time == rounds);
}

TEST_CASE("dispatch: who waits for a loop when the server ends is reset and counted") {
  const backend of = GENERATE(from_range(usable()));
  enum class end { stop, drain, break_down };
  const end how = GENERATE(end::stop, end::drain, end::break_down);
  INFO(backend_name(of) << ' ' << static_cast<int>(how));
  crowded_house house(of);
  if (how == end::stop) house.server.stop();
  if (how == end::drain) house.server.drain(50ms);
  if (how == end::break_down) {
    house.acceptor().broken = true;
    (void)house.server.statistics();  // which wakes it
  }
  const result<void> ended = house.server.join();
  CHECK(bool(ended) == (how != end::break_down));
  const server_statistics seen = house.server.statistics();
  check_sum(seen);
  CHECK(seen.total().accepted == 3);
  CHECK(seen.total().shed == 2);
  CHECK(is_reset(house.come.end()[-1]));
  CHECK(is_reset(house.come.end()[-2]));
  // The broken one's, too.
  CHECK(is_refused_soon(house.at));
}

TEST_CASE("dispatch: who waits for a loop when the server drains is served") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  crowded_house house(of);
  house.server.drain(20s);
  for (std::size_t i = 1; i < 3; ++i) {
    house.come[i - 1].reset();
    CHECK(prompt_answer(house.come[i]) == "ax");
  }
  house.come.clear();
  CHECK(house.server.join());
  const server_statistics seen = house.server.statistics();
  check_sum(seen);
  CHECK(seen.total().accepted == 3);
  CHECK(seen.total().shed == 0);
}

TEST_CASE("dispatch: a drain takes the time that it was given and no more") {
  crowded_house house(usable().front());
  const auto began = std::chrono::steady_clock::now();
  house.server.drain(3s);
  CHECK(house.server.join());
  // With as much again for the loop it were six.
  CHECK(std::chrono::steady_clock::now() - began < 5s);
}

TEST_CASE("a loop that ends has no part in what others accept") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy =
      GENERATE(accept_policy::dispatch, accept_policy::thread_per_connection,
               accept_policy::sharded, accept_policy::shared_fifo, accept_policy::shared_exclusive);
  const bool breaks = GENERATE(false, true);
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy) << ' ' << breaks);
  fragile_house house(of);
  house.open(policy, policy == accept_policy::thread_per_connection ? 64 : loop_count);
  REQUIRE(house.server.start());
  // Each loop of them has one, where one thread gives them.
  std::vector<unique_fd> all = clients(loop_count, house.at);
  for (const unique_fd& one : all) CHECK(prompt_answer(one).size() == 2);
  // Of the first loop's socket, which stays; a plan would look at the one that is being closed.
  const auto group = [&] { return group_size(house.server.listener_at(0).fd(), house.at); };
  const int sockets = policy == accept_policy::sharded ? group() : 0;
  if (sockets < 0) return;
  if (breaks) {
    house.of_loop(1).broken = true;
    REQUIRE(house.server.post(1, [] {}));
    REQUIRE(comes_true([&] { return house.of_loop(1).told.load(); }));
  } else {
    std::promise<void> told;
    REQUIRE(house.server.post(1, [&] {
      house.server.loop_at(1).stop();
      told.set_value();
    }));
    told.get_future().wait();
  }
  // Who comes until then is a client of its.
  if (policy == accept_policy::sharded) REQUIRE(comes_true([&] { return group() == sockets - 1; }));
  for (const unique_fd& one : clients(30, house.at)) {
    const std::string said = prompt_answer(one);
    CHECK(said.size() == 2);
    if (said.size() == 2) CHECK(said[0] != 'b');
  }
  house.server.stop();
  CHECK(bool(house.server.join()) == !breaks);
  CHECK(is_refused_soon(house.at));
  check_sum(house.server.statistics());
}

TEST_CASE("dispatch: whom a loop that ends had not begun to serve another one serves") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  fragile_house house(of);
  house.open(accept_policy::dispatch, 2);
  REQUIRE(house.server.start());
  std::promise<void> hangs;
  std::promise<void> go_on;
  REQUIRE(house.server.post(1, [&] {
    hangs.set_value();
    go_on.get_future().wait();
    house.server.loop_at(1).stop();
  }));
  hangs.get_future().wait();
  const std::vector<unique_fd> come = clients(6, house.at);
  CHECK(
      comes_true([&] { return house.server.statistics(1ms).acceptor->counters.handed_over == 6; }));
  go_on.set_value();
  // Nothing else happens that the accepting thread would wake by.
  for (const unique_fd& one : come) CHECK(prompt_answer(one) == "ax");
  house.server.stop();
  CHECK(house.server.join());
  check_sum(house.server.statistics());
}

TEST_CASE("a server whose loops have all ended ends") {
  const backend of = GENERATE(from_range(usable()));
  const accept_policy policy =
      GENERATE(accept_policy::dispatch, accept_policy::sharded, accept_policy::shared_fifo,
               accept_policy::shared_exclusive);
  const bool break_down = GENERATE(false, true);
  if (!can_do(of, policy)) return;
  INFO(backend_name(of) << ' ' << policy_name(policy) << ' ' << break_down);
  fragile_house house(of);
  house.open(policy, loop_count);
  REQUIRE(house.server.start());
  CHECK(prompt_answer(clients(1, house.at)[0]).size() == 2);
  for (std::size_t i = 0; i < loop_count; ++i) house.of_loop(i).broken = break_down;
  house.server.post_all([&](std::uint32_t index) {
    if (!break_down) house.server.loop_at(index).stop();
  });
  CHECK(ends_within(house.server, 10s));
  CHECK(is_refused_soon(house.at));
  check_sum(house.server.statistics());
}

}  // namespace hinge::test
