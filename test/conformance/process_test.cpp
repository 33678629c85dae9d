// A loop in a process that has signals, and children.
#include "conformance/backends.hpp"
#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/sized.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

/// An echo in a thread of its own. Its handler makes assertions, so nobody else may until its end.
class busy_server {
public:
  explicit busy_server(const tested_backend& on) : running_(on.make_loop()) {
    running_->handler().does.data = echo;
    REQUIRE(running_->open({.max_connections = 256}));
    REQUIRE(running_->base().listen(address::loopback(0)));
    thread_ = std::thread([this] { returned_ = running_->run(); });
  }
  ~busy_server() {
    if (thread_.joinable()) end();
  }
  busy_server(const busy_server&) = delete;
  busy_server& operator=(const busy_server&) = delete;

  const address& at() const { return running_->base().listener_at(0).local(); }

  /// What run() has returned.
  int end() {
    running_->base().post([this] { running_->drain(std::chrono::seconds(1)); });
    thread_.join();
    return returned_;
  }
  // After the end.
  const loop_counters& counters() const { return running_->base().counters(); }
  const note_taker& notes() const { return running_->handler(); }

private:
  std::unique_ptr<tested_loop> running_;
  int returned_ = -1;
  std::thread thread_;
};

unique_fd connect_to(const address& to) {
  unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (sockets::connect(fd.get(), to) != 0) fd.reset();
  return fd;
}

bool is_answered(const unique_fd& client, std::string_view question) {
  std::array<char, 64> answer;
  if (::send(client.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) return false;
  const ssize_t got = ::recv(client.get(), answer.data(), question.size(), MSG_WAITALL);
  return got == static_cast<ssize_t>(question.size()) &&
         std::string_view(answer.data(), question.size()) == question;
}

std::atomic<std::uint64_t> ticks = 0;

/// SIGALRM a thousand times a second, to any thread but this one; no call goes on by itself after
/// it.
class interrupting_timer {
public:
  interrupting_timer() {
    ticks = 0;
    struct sigaction handler {};
    handler.sa_handler = [](int) { ++ticks; };
    ::sigaction(SIGALRM, &handler, &before_);
    set(1000);
    block(SIG_BLOCK);
  }
  ~interrupting_timer() {
    set(0);
    block(SIG_UNBLOCK);
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  interrupting_timer(const interrupting_timer&) = delete;
  interrupting_timer& operator=(const interrupting_timer&) = delete;

  static void block(int how) {
    sigset_t alarm;
    ::sigemptyset(&alarm);
    ::sigaddset(&alarm, SIGALRM);
    ::pthread_sigmask(how, &alarm, nullptr);
  }

private:
  static void set(suseconds_t microseconds) {
    const itimerval every{.it_interval = {0, microseconds}, .it_value = {0, microseconds}};
    ::setitimer(ITIMER_REAL, &every, nullptr);
  }

  struct sigaction before_ {};
};

/// What each signal does; its handler or what stands for it.
std::vector<void (*)(int)> dispositions() {
  std::vector<void (*)(int)> all;
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction found {};
    ::sigaction(number, nullptr, &found);
    all.push_back(found.sa_handler);
  }
  return all;
}

/// The descriptors of a child as it sees them: what `ls /proc/self/fd` prints. Empty: it failed.
std::string descriptors_of_child() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const unique_fd from(ends[0]);
  unique_fd to(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(to.get(), 1);
    ::execl("/bin/ls", "ls", "/proc/self/fd", nullptr);
    ::_exit(127);
  }
  if (child < 0) return {};
  to.reset();
  std::string said;
  std::array<char, 4096> room;
  while (const ssize_t count = ::read(from.get(), room.data(), room.size())) {
    if (count > 0) said.append(room.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0 ? said : std::string();
}

/// A client after the other, each of whom is served.
class crowd {
public:
  explicit crowd(const address& to)
      : thread_([this, to] {
          while (!enough_) served_ += is_answered(connect_to(to), "hello");
        }) {}
  ~crowd() {
    enough_ = true;
    if (thread_.joinable()) thread_.join();
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  std::uint64_t end() {
    enough_ = true;
    thread_.join();
    return served_;
  }

private:
  std::atomic<bool> enough_ = false;
  std::atomic<std::uint64_t> served_ = 0;
  std::thread thread_;
};

}  // namespace

HINGE_TEST_CASE("process: signals that interrupt each call a thousand times a second",
                chosen_backends) {
  const auto before = dispositions();
  {
    busy_server server(backend);
    const interrupting_timer timer;
    const instant end = now() + sized(500'000'000LL, 10'000'000'000LL);
    std::uint64_t served = 0;
    std::uint64_t come = 0;
    while (now() < end) {
      const unique_fd client = connect_to(server.at());
      for (int i = 0; i < 20; ++i) served += is_answered(client, "hello");
      ++come;
      // Waits are interrupted, too, and not calls alone.
      std::this_thread::sleep_for(std::chrono::milliseconds(come % 8));
    }
    const int returned = server.end();
    std::printf("%u signals, %u connections, %u answers\n", static_cast<unsigned>(ticks),
                static_cast<unsigned>(come), static_cast<unsigned>(served));
    CHECK(returned == 0);
    CHECK(served == 20 * come);
    CHECK(ticks > 100);
    const loop_counters& counted = server.counters();
    CHECK(counted.accepted == come);
    CHECK(counted.closed[static_cast<std::size_t>(close_cause::peer_closed)] == come);
    CHECK(counted.accept_exhausted == 0);
    CHECK(server.notes().errors.empty());
  }
  CHECK(dispositions() == before);
}

TEST_CASE("process: these signals do interrupt a wait that isn't made again") {
  int failed = 0;
  std::thread naive;
  {
    std::atomic<bool> waits = false;
    naive = std::thread([&] {
      waits = true;
      if (::poll(nullptr, 0, 10'000) < 0) failed = errno;
    });
    while (!waits) std::this_thread::yield();
    const interrupting_timer timer;
    naive.join();
  }
  CHECK(failed == EINTR);
}

HINGE_TEST_CASE("process: a child sees no descriptor of the loop, whenever it is made",
                chosen_backends) {
  if (masked) SKIP("without accept4(2) there is a moment in which it does");
  const std::string before = descriptors_of_child();
  REQUIRE(before != "");
  busy_server server(backend);
  const int children = sized(50, 1000);
  std::uint64_t served = 0;
  std::vector<std::string> others;
  {
    crowd one(server.at());
    crowd other(server.at());
    const unique_fd kept = connect_to(server.at());
    served += is_answered(kept, "hello");
    for (int i = children; i != 0; --i) {
      const std::string seen = descriptors_of_child();
      if (seen != before) others.push_back(seen);
    }
    served += one.end() + other.end();
  }
  const int returned = server.end();
  std::printf("%d children, beside %u clients\n", children, static_cast<unsigned>(served));
  CHECK(returned == 0);
  CHECK(others == std::vector<std::string>());
  CHECK(served > 100);
  CHECK(server.counters().accepted >= served);
}

TEST_CASE("process: a child does see a connection that was accepted without ado") {
  const std::string before = descriptors_of_child();
  const listener at = opened(address::loopback(0));
  const unique_fd client = connected(at.local());
  pollfd waits{.fd = at.fd(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&waits, 1, 10'000) == 1);
  const unique_fd inherited(::accept(at.fd(), nullptr, nullptr));
  REQUIRE(inherited);
  CHECK(descriptors_of_child() != before);
}
