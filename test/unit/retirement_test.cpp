// Listeners that stop accepting, on each backend and under each policy: who waits is served, who
// comes goes to a sibling, and nothing is left behind.
#include <hinge/any_poller.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/retiring.hpp"
#include "support/temporary_folder.hpp"

using namespace std::chrono_literals;

namespace hinge::test {
namespace {

using clients = std::vector<unique_fd>;
using retiring_loop = loop<any_poller, retiring_echo>;
/// A loop with a listener, in the test's own thread.
struct one_loop {
  explicit one_loop(backend of, const listener_options& how = {}, address at = address::loopback(0),
                    std::uint32_t room = 256)
      : running(*any_poller::of(of), retiring_echo{}) {
    REQUIRE(running.open({.max_connections = room}));
    REQUIRE(running.listen(at, how));
    where = running.listener_at(0).local();
    running.turn(deadline::immediately());
  }
  address at() const { return where; }
  /// Retires it; `meanwhile` is called once a step.
  retire_report retired(
      const retire_options& how = {}, const std::function<void()>& meanwhile = [] {}) {
    retirement leaving(running, 0, how);
    said = leaving.plan().text();
    while (!leaving.step()) {
      meanwhile();
      running.turn(leaving.next());
    }
    return leaving.report();
  }

  retiring_loop running;
  address where;
  std::string said;
};

}  // namespace

TEST_CASE("retirement: the port is free at once, though accepts were armed") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of);
  for (int i = 0; i < 3; ++i) at.running.turn(deadline::immediately());
  const retire_report done = at.retired();
  CHECK(bind_plainly(at.at()) == 0);  // at the first try
  CHECK(done.drained == 0);
  CHECK(done.lost == 0);
  CHECK_FALSE(at.running.listener_at(0));
}

TEST_CASE("retirement: without a sibling all who wait are served, and later ones are refused") {
  need_linux();
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of, {}, GENERATE(address::loopback(0), address::loopback6(0), address::any6(0)));
  clients waiting;
  const address to =
      at.at().inet().ip == address::any6(0).inet().ip ? address::loopback(at.at().port()) : at.at();
  connect_some(waiting, to, 22);
  unique_fd late;
  int connecting = 0;
  instant came = 0;
  const retire_report done = at.retired({}, [&] {
    if (late) return;
    came = now();
    late.reset(sockets::open_stream(to.family()));
    connecting = sockets::connect(late.get(), to);
  });
  CHECK(at.said == "no sibling: 22 queued clients will be served, later ones refused");
  CHECK(at.running.counters().accepted == 22);
  CHECK(done.by == retire_guarantee::puts_off);
  CHECK(done.drained <= 22);
  CHECK(done.lost == 0);
  CHECK(reset_ones(waiting) == 0);
  CHECK(connecting == -EINPROGRESS);
  // Not refused: it asks again, after a second.
  const int refused = sockets::pending_error(late.get());
  CHECK((refused == 0 || nanoseconds(now() - came) > 900ms));
  CHECK(try_connect(to) == ECONNREFUSED);
}

TEST_CASE("retirement: without descriptors it waits for some, and then finds its sibling") {
  need_linux();
  const bool come_back = GENERATE(true, false);
  one_loop at(usable().front(), shared_port);
  const listener sibling = opened(at.at(), shared_port);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const unique_fd lowest(::dup(0));
  const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest.get()), .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  retirement leaving(at.running, 0, {.within = come_back ? 60s : 100ms});
  CHECK_FALSE(leaving.step());
  CHECK_FALSE(leaving.step());
  const bool known = leaving.plan().siblings_known;
  const bool open = bool(at.running.listener_at(0));
  if (come_back) ::setrlimit(RLIMIT_NOFILE, &before);
  while (!leaving.step()) at.running.turn(leaving.next());
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK_FALSE(known);
  CHECK(open);
  CHECK(leaving.report().by == (come_back ? retire_guarantee::steers : retire_guarantee::empties));
  CHECK(leaving.report().steered == (come_back ? 1 : 0));
  CHECK_FALSE(at.running.listener_at(0));
}

TEST_CASE("retirement: with siblings nobody is lost, wherever they stand in the group") {
  need_linux();
  const backend of = GENERATE(from_range(usable()));
  const bool ours_first = GENERATE(true, false);
  const std::size_t siblings = GENERATE(1, 3);
  const address on = GENERATE(address::loopback(0), address::any(0), address::loopback6(0));
  INFO(backend_name(of) << ' ' << ours_first << ' ' << siblings << ' ' << on.text());
  std::vector<listener> others;
  address where = on;
  const auto listen_too = [&] {
    others.push_back(opened(where, shared_port));
    where = others.back().local();
  };
  if (!ours_first) listen_too();
  one_loop at(of, shared_port, where);
  where = at.at();
  while (others.size() < siblings) listen_too();
  const address to = on == address::any(0) ? address::loopback(where.port()) : where;

  clients all;
  connect_some(all, to, 40);
  const retire_report done = at.retired({}, [&] {
    if (all.size() < 200) connect_some(all, to, 10);
  });
  CHECK(at.said == (siblings == 1 ? "1 sibling: no loss" : "3 siblings: no loss"));
  CHECK(done.by == retire_guarantee::steers);
  CHECK(done.steered == siblings);
  CHECK(done.lost == 0);
  CHECK(reset_ones(all) == 0);
  // Nobody else has come to a sibling: what was asked of the group was not answered.
  std::size_t elsewhere = 0;
  for (const listener& one : others) elsewhere += one.waiting().value_or(0);
  CHECK(at.running.counters().accepted + elsewhere == all.size());
  // Who listens later has his share: no program is left.
  listen_too();
  connect_some(all, to, 100);
  CHECK(others.back().waiting() > 0);
}

TEST_CASE("retirement: closed without ado, some of those who wait are reset") {
  const listener sibling = opened(address::loopback(0), shared_port);
  listener plain = opened(sibling.local(), shared_port);
  clients all;
  connect_some(all, sibling.local(), 40);
  plain.close();
  CHECK(reset_ones(all) != 0);
}

TEST_CASE("retirement: given up it ends at once, though its loop turns no more") {
  const backend of = GENERATE(from_range(usable()));
  const bool held = GENERATE(false, true);
  INFO(backend_name(of) << ' ' << held);
  one_loop at(of);
  retirement leaving(at.running, 0, {.within = 60s, .held_elsewhere = held});
  int asked = 0;
  const retire_report done = run_all({&leaving, 1}, [&] { return ++asked == 5; });
  CHECK(asked == 5);
  CHECK(done.took < 30s);
  CHECK(leaving.step());
  CHECK(try_connect(at.at()) == (held ? 0 : ECONNREFUSED));
}

TEST_CASE("retirement: what somebody else holds is left to him") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of, {.backlog = 256});
  const unique_fd his(::fcntl(at.running.listener_at(0).fd(), F_DUPFD_CLOEXEC, 0));
  clients all;
  connect_some(all, at.at(), 20);
  const retire_report done = at.retired({.held_elsewhere = true}, [&] {
    if (all.size() < 100) connect_some(all, at.at(), 5);
  });
  CHECK(at.said == "held by somebody else: who waits is served, later ones are his");
  CHECK(done.by == retire_guarantee::held);
  connect_some(all, at.at(), 5);
  CHECK(done.lost == 0);
  CHECK(reset_ones(all) == 0);
  std::uint64_t his_own = 0;
  clients accepted;
  while (accepted.emplace_back(::accept4(his.get(), nullptr, nullptr, SOCK_CLOEXEC))) ++his_own;
  CHECK(his_own == done.handed_over + 5);
  CHECK(at.running.counters().accepted + his_own == all.size());
}

TEST_CASE("retirement: a Unix path is gone, and who waits is served; held elsewhere it stays") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const bool held = GENERATE(false, true);
  const temporary_folder folder;
  const address path = *address::unix_path(folder.path() + "/socket");
  one_loop at(of, {}, path);
  const unique_fd his(::fcntl(at.running.listener_at(0).fd(), F_DUPFD_CLOEXEC, 0));
  clients all;
  connect_some(all, path, 10);
  const retire_report done = at.retired({.held_elsewhere = held});
  if (held) {
    CHECK(try_connect(path) == 0);
  } else {
    CHECK(done.by == retire_guarantee::empties);
    CHECK(at.running.counters().accepted == 10);
    CHECK(try_connect(path) == ENOENT);
  }
}

TEST_CASE("retirement: when the time is over the rest is reset, and counted") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of, {.backlog = 256}, address::loopback(0), 8);
  clients all;
  connect_some(all, at.at(), 100);
  for (int i = 0; i < 20; ++i) at.running.turn(deadline::immediately());
  // A ring may have accepted some for whom there is no room yet: they are none of the rest.
  const std::uint32_t waiting = at.running.listener_at(0).waiting().value_or(0);
  const retire_report done = at.retired({.within = 50ms});
  CHECK(at.running.counters().accepted == 8);
  CHECK(done.lost == waiting);
  if (tells_queue) {
    CHECK(reset_ones(all) == waiting);
    CHECK((waiting != 0 || of == backend::io_uring));
  }
  CHECK(done.took >= 50ms);
  CHECK(listener::open(at.at()));
}

TEST_CASE("retirement: a table without room is waited for") {
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of, {.backlog = 256}, address::loopback(0), 8);
  clients all;
  connect_some(all, at.at(), 60);
  std::size_t ended = 0;
  const retire_report done = at.retired({}, [&] {
    // Clients that are served leave.
    for (; ended < std::min<std::size_t>(at.running.counters().accepted, 60); ++ended)
      all[ended].reset();
  });
  CHECK(at.running.counters().accepted == 60);
  CHECK(done.lost == 0);
}

TEST_CASE("retirement: a full table holds nothing up when nobody waits") {
  if (!tells_queue) SKIP("nobody knows that nobody waits");
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  one_loop at(of, {}, address::loopback(0), 8);
  clients all;
  connect_some(all, at.at(), 8);
  const retire_report done = at.retired({.within = 1h});
  CHECK(at.running.counters().accepted == 8);
  CHECK(at.running.open_connections() == 8);
  CHECK(done.lost == 0);
}

TEST_CASE("retirement: what is given up leaves no filter and no program") {
  need_linux();
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const bool beside = GENERATE(false, true);
  one_loop at(of, shared_port);
  std::vector<listener> others;
  if (beside) others.push_back(opened(at.at(), shared_port));
  {
    retirement leaving(at.running, 0);
    leaving.step();
    leaving.step();
  }
  clients all;
  connect_some(all, at.at(), 60);
  for (int i = 0; i < 20; ++i) at.running.turn(deadline::immediately());
  CHECK(at.running.counters().accepted != 0);
  if (beside) {
    CHECK(others[0].waiting() > 0);
    CHECK(at.running.counters().accepted + *others[0].waiting() == 60);
  }
}

namespace {

/// Runs `body` in a thread that has a network of its own, with or without migration. False: it is
/// forbidden.
bool in_own_network(bool migrate, const std::function<void()>& body) {
  bool allowed = false;
  std::thread apart([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const unique_fd any(::socket(AF_INET, SOCK_DGRAM, 0));
    ifreq up{};
    up.ifr_name[0] = 'l';
    up.ifr_name[1] = 'o';
    up.ifr_flags = IFF_UP;
    std::ofstream setting("/proc/sys/net/ipv4/tcp_migrate_req");
    setting << (migrate ? '1' : '0') << std::flush;
    allowed = ::ioctl(any.get(), SIOCSIFFLAGS, &up) == 0 && setting.good();
    if (allowed) body();
  });
  apart.join();
  return allowed;
}

}  // namespace

TEST_CASE("retirement: where queued clients migrate, a sibling has them") {
  need_linux();
  const backend of = GENERATE(from_range(usable()));
  INFO(backend_name(of));
  const bool ran = in_own_network(true, [&] {
    one_loop at(of, shared_port);
    const listener sibling = opened(at.at(), shared_port);
    clients all;
    connect_some(all, at.at(), 40);
    const retire_report done = at.retired({}, [&] {
      if (all.size() < 100) connect_some(all, at.at(), 5);
    });
    CHECK(at.said == "1 sibling and tcp_migrate_req: no loss");
    CHECK(done.by == retire_guarantee::migrates);
    CHECK(done.lost == 0);
    CHECK(reset_ones(all) == 0);
    CHECK(at.running.counters().accepted + sibling.waiting().value_or(0) == all.size());
  });
  if (!ran) SKIP("a network of its own is forbidden here");
}

}  // namespace hinge::test
