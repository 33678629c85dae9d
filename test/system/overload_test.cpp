// Twice the load that a server can serve: what it serves in time stays what it can, and when the
// load ends so does the waiting. The server's work is a sleep, so that its capacity is nearly the
// same on any machine, whoever else runs there; clients come when they please, and have so much
// patience.
#include "conformance/backends.hpp"
#include "support/listening.hpp"
#include "support/sized.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

constexpr instant second = 1'000'000'000;
constexpr std::chrono::milliseconds work{4};
constexpr instant patience = second * 9 / 10;
constexpr std::uint32_t most_open = 16;

/// Answers each message after its work, and closes. Its handler makes assertions: nobody else may
/// until its end.
class slow_server {
public:
  slow_server(const tested_backend& on, std::uint32_t waiting) : running_(on.make_loop()) {
    running_->handler().does.data = [this](connection c, std::span<std::byte> bytes) {
      most_seen_ = std::max(most_seen_, c.loop().open_connections());
      std::this_thread::sleep_for(work);
      c.finish(bytes.first(1));
    };
    REQUIRE(running_->open({.max_connections = most_open, .accepts_per_turn = most_open}));
    REQUIRE(running_->base().listen(address::loopback(0), {.backlog = static_cast<int>(waiting)}));
    thread_ = std::thread([this] { running_->run(); });
  }
  ~slow_server() {
    if (thread_.joinable()) end();
  }
  slow_server(const slow_server&) = delete;
  slow_server& operator=(const slow_server&) = delete;

  void end() {
    running_->base().post([this] { running_->drain(std::chrono::seconds(5)); });
    thread_.join();
  }
  address at() const { return running_->base().listener_at(0).local(); }
  // After the end.
  const loop_counters& counters() const { return running_->base().counters(); }
  std::uint32_t most_seen() const { return most_seen_; }

private:
  std::unique_ptr<tested_loop> running_;
  std::uint32_t most_seen_ = 0;
  std::thread thread_;
};

struct load {
  double per_second;  // new clients
  std::size_t most;   // at one time
  instant time;       // for which they come
};

/// Clients each of whom wants one answer; how many had it in time.
class visitors {
public:
  explicit visitors(const address& to) : length_(static_cast<socklen_t>(to.to_kernel(name_))) {}

  std::uint64_t come(const load& wanted) {
    answers_ = gave_up_ = 0;
    const instant begin = now();
    double due = 0;
    std::uint64_t come = 0;
    for (instant at = begin; at < begin + wanted.time; at = now()) {
      due = static_cast<double>(at - begin) / second * wanted.per_second;
      for (; static_cast<double>(come) < due && under_way_.size() < wanted.most; ++come)
        begin_one();
      look(1);
    }
    return answers_;
  }
  /// Of those that came, who has lost his patience since.
  std::uint64_t gave_up() const { return gave_up_; }
  /// Nobody comes any more, and those who are there get their answer or go.
  void leave() {
    while (!under_way_.empty()) look(1);
  }

private:
  struct visitor {
    unique_fd fd;
    instant since;
    bool asked = false;
  };

  void begin_one() {
    unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return;
    // Who has lost his patience leaves nothing behind.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    const int failed =
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(name_.data()), length_);
    if (failed == 0 || errno == EINPROGRESS)
      under_way_.push_back({.fd = std::move(fd), .since = now()});
  }

  void look(int milliseconds) {
    polled_.clear();
    for (const visitor& one : under_way_) {
      const short events = one.asked ? POLLIN : POLLOUT;
      polled_.push_back({.fd = one.fd.get(), .events = events, .revents = 0});
    }
    ::poll(polled_.data(), polled_.size(), milliseconds);
    const instant at = now();
    for (std::size_t i = 0; i < under_way_.size(); ++i) {
      visitor& one = under_way_[i];
      const bool gives_up = at - one.since > patience;
      gave_up_ += gives_up;
      if (gives_up || (polled_[i].revents != 0 && is_done(one))) one.fd.reset();
    }
    std::erase_if(under_way_, [](const visitor& one) { return !one.fd; });
  }

  bool is_done(visitor& one) {
    char answer = '?';
    if (!one.asked) {
      one.asked = ::send(one.fd.get(), &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
      return !one.asked;
    }
    answers_ += ::recv(one.fd.get(), &answer, 1, MSG_DONTWAIT) == 1;
    return true;
  }

  std::array<std::byte, address::kernel_capacity> name_{};
  socklen_t length_;
  std::vector<visitor> under_way_;
  std::vector<pollfd> polled_;
  std::uint64_t answers_ = 0;
  std::uint64_t gave_up_ = 0;
};

double seconds_of(instant time) { return static_cast<double>(time) / second; }

/// KiB that this process has in memory.
std::uint64_t resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::uint64_t found = 0; word == "VmRSS:" && status >> found) return found;
  return 0;
}

/// Answers a second when a few clients keep it busy, under twice of that, and when that is over.
/// The answers of a second in which few come, right after it, and how many went without one.
struct goodput {
  double peak = 0;
  double overloaded = 0;
  double peak_after = 0;
  std::uint64_t calm = 0;
  std::uint64_t unserved = 0;

  /// Twice the peak before was at least one and a half times the one after.
  bool was_overload() const { return 2 * peak >= 1.5 * peak_after; }
};

double peak_of(visitors& from) {
  const instant time = sized(second / 2, 3 * second);
  return static_cast<double>(from.come({.per_second = 1e9, .most = most_open, .time = time})) /
         seconds_of(time);
}

goodput overload(visitors& from, double peak) {
  const instant time = sized(2 * second, 30 * second);
  goodput found{.peak = peak};
  const load twice{.per_second = 2 * found.peak, .most = 8000, .time = time};
  found.overloaded = static_cast<double>(from.come(twice)) / seconds_of(time);
  // They go with their patience, and what they leave behind is done within a second.
  from.leave();
  found.calm = from.come({.per_second = 50, .most = 1, .time = second});
  from.leave();
  found.unserved = from.gave_up();
  found.peak_after = peak_of(from);
  from.leave();
  std::printf("peak %.0f a second, under twice of it %.0f, peak %.0f\n", found.peak,
              found.overloaded, found.peak_after);
  return found;
}

/// A peak that the machine had no time for is taken again.
goodput measure(visitors& from) {
  goodput found = overload(from, peak_of(from));
  for (int again = 0; again < 3 && !found.was_overload(); ++again)
    found = overload(from, found.peak_after);
  return found;
}

}  // namespace

HINGE_TEST_CASE("overload: twice the load, and what is served in time is what can be served",
                chosen_backends) {
  slow_server server(backend, 2 * most_open);
  visitors crowd(server.at());
  const std::uint64_t before = resident();
  const goodput found = measure(crowd);
  const std::uint64_t after = resident();
  server.end();
  REQUIRE(found.was_overload());
  // The machine may have been busy with other things, and for a part of a short run alone.
  CHECK(found.overloaded >= sized(0.5, 0.8) * std::min(found.peak, found.peak_after));
  CHECK(after < before + 64 * 1024);
  CHECK(found.calm > 0);
  CHECK(found.unserved == 0);
  CHECK(server.most_seen() <= most_open);
  const loop_counters& counted = server.counters();
  CHECK(counted.accepted == counted.closed_total() + counted.shed);
}

HINGE_TEST_CASE("overload: a queue that is longer than the clients' patience serves nobody",
                chosen_backends) {
  if (!full_size()) SKIP("it takes long to fill");
  slow_server server(backend, 1000);
  visitors crowd(server.at());
  const goodput found = measure(crowd);
  server.end();
  REQUIRE(found.was_overload());
  CHECK(found.overloaded < 0.8 * found.peak);
}
