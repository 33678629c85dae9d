// Verdicts under seccomp filters: what a process began with is found out once, what a thread was
// given later by that thread alone, and nobody's verdict is lost by another's.
#include <hinge/backend.hpp>

#include "fault/served_by.hpp"
#include "simulator/call_hooks.hpp"
#include "simulator/ring_hooks.hpp"
#include "support/filtered.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <semaphore>
#include <string>
#include <thread>

using namespace hinge;
using namespace hinge::test;

namespace {

/// A thread that does what it is told, while who tells it waits.
class helper {
public:
  void run(std::function<void()> what) {
    next_ = std::move(what);
    told_.release();
    done_.acquire();
  }
  std::string asks(const backend_list& wanted) {
    std::string said;
    run([&] {
      const auto report = hinge::backend_report(wanted);
      for (const auto& one : report.candidates()) said.append(one.line()).append("\n");
    });
    return said;
  }
  bool filters(std::uint32_t verdict) {
    bool done = false;
    run([&] { done = filter_call(SYS_io_uring_setup, verdict); });
    return done;
  }
  ~helper() {
    run({});
    thread_.join();
  }
  helper() = default;
  helper(const helper&) = delete;
  helper& operator=(const helper&) = delete;

private:
  std::function<void()> next_;
  std::binary_semaphore told_{0}, done_{0};
  std::thread thread_{[this] {
    for (bool more = true; more; done_.release()) {
      told_.acquire();
      more = bool(next_);
      if (more) next_();
    }
  }};
};

/// What is done to find out: the children and the rings that are made.
class efforts {
public:
  efforts() {
    forget_uring_verdict();
    calls_.start_log();
  }
  std::ptrdiff_t children() const {
    return std::count_if(calls_.log().begin(), calls_.log().end(), [](const call_seen& one) {
      return one.what == call_id::syscall && one.arguments[0] == SYS_clone;
    });
  }
  std::uint64_t rings() const { return rings_.count(ring_call_id::io_uring_queue_init_params); }

private:
  ring_hooks rings_;
  call_hooks calls_;
};

constexpr int no_filters = 77;

}  // namespace

TEST_CASE("threads under the filters that the process began with share verdicts", "[.inherited]") {
  const efforts made;
  helper one, other;
  const backend_list wanted = {backend::io_uring, backend::epoll};
  const std::string said = one.asks(wanted);
  CHECK(said.starts_with("io_uring: self-test passed"));
  CHECK(said.ends_with("epoll: usable\n"));
  for (int rounds = 0; rounds < 3; ++rounds) {
    CHECK(other.asks(wanted) == said);
    CHECK(one.asks(wanted) == said);
  }
  // One for the self-test's socket, too.
  CHECK(made.children() == 3);
  CHECK(made.rings() == 1);
}

TEST_CASE("a thread with one more filter has verdicts of its own, and the others keep theirs",
          "[.inherited]") {
  const efforts made;
  helper one, other, refused, killed;
  const std::string said = one.asks(backend::io_uring);
  CHECK(refused.asks(backend::io_uring) == said);
  CHECK(killed.asks(backend::io_uring) == said);
  CHECK(made.children() == 2);
  // As many, and not the same.
  REQUIRE(refused.filters(SECCOMP_RET_ERRNO | EACCES));
  REQUIRE(killed.filters(SECCOMP_RET_KILL_PROCESS));
  for (int rounds = 0; rounds < 3; ++rounds) {
    CHECK(refused.asks(backend::io_uring) == "io_uring: refused: EACCES, seccomp mode 2\n");
    CHECK(killed.asks(backend::io_uring) == "io_uring: killed by SIGSYS, seccomp mode 2\n");
    CHECK(one.asks(backend::io_uring) == said);
    CHECK(other.asks(backend::io_uring) == said);
  }
  // `other` asked for the first time after those, and had nothing to find out. Who is killed for a
  // ring comes to none.
  CHECK(made.children() == 4);
  CHECK(made.rings() == 2);
}

TEST_CASE("in a process that began with a filter") {
  if (!usable()) SKIP("io_uring is refused here");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (filter_call(SYS_io_uring_setup, SECCOMP_RET_ALLOW))
      ::execl("/proc/self/exe", "filter_fault_test", "[inherited]", nullptr);
    ::_exit(no_filters);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == no_filters) SKIP("filters can't be had here");
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a filter that kills for the probe itself says nothing about epoll") {
  helper sandboxed;
  bool filtered = false;
  sandboxed.run(
      [&] { filtered = filter_call(SYS_clone, SECCOMP_RET_KILL_PROCESS, CLONE_VM | CLONE_VFORK); });
  if (!filtered) SKIP("filters can't be had here");
  CHECK(sandboxed.asks({backend::io_uring, backend::epoll}) ==
        "io_uring: refused: EPERM at clone, seccomp mode 2\nepoll: usable\n");
}

TEST_CASE("a filter that kills for what a lone kqueue on Linux does is told, and nobody dies") {
  helper sandboxed;
  bool filtered = false;
  std::string said;
  sandboxed.run([&] {
    any_poller poller = *any_poller::of(backend::kqueue);
    filtered = filter_call(SYS_epoll_create1, SECCOMP_RET_KILL_PROCESS);
    if (!filtered) return;
    const result<void> opened = poller.open({});
    said = opened ? "opened" : std::string(opened.error().text());
  });
  if (!filtered) SKIP("filters can't be had here");
  CAPTURE(said);
  CHECK(said.starts_with("kqueue: killed by SIGSYS"));
}
