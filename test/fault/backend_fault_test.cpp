// io_uring refused in every way, and each step of its self-test: the report says which and why, the
// automatic choice serves on epoll, and nothing stays open.
#include <hinge/any_poller.hpp>
#include <hinge/uring.hpp>

#include "confinement.hpp"
#include "fault/served_by.hpp"
#include "simulator/call_hooks.hpp"
#include "simulator/ring_hooks.hpp"
#include "support/descriptors.hpp"
#include "support/filtered.hpp"
#include "uring_probe.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
constexpr bool sanitized = true;
#elif defined __clang__
constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool sanitized = false;
#endif

/// Everything says why, and hinge serves.
void check_refused(std::string_view why) {
  const leak_check leaks;
  const backend_choice report = backend_report();
  CHECK(report.text() == "epoll: usable (io_uring: " + std::string(why) + ")");
  CHECK(report.chosen() == backend::epoll);
  CHECK(report.fell_back());
  CHECK(served_by() == "epoll");
  const result<void> opened = uring_poller().open({});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text() == report.candidates().front().usable.error().text());
}

/// The limit of locked memory, for whom it counts.
std::string locked_memory() {
  return is_privileged(privilege::lock_memory) ? "" : limit("RLIMIT_MEMLOCK", RLIMIT_MEMLOCK);
}

/// How long it takes to come to epoll: the middle of so many times.
nanoseconds time_to_fall_back(std::size_t rounds) {
  std::vector<nanoseconds> took(rounds);
  for (nanoseconds& one : took) {
    forget_uring_verdict();
    const instant start = now();
    any_poller poller;
    REQUIRE(poller.open({}));
    one = nanoseconds(now() - start);
    CHECK(poller.name() == "epoll");
  }
  const auto middle = took.begin() + static_cast<std::ptrdiff_t>(rounds / 2);
  std::nth_element(took.begin(), middle, took.end());
  return *middle;
}

/// That it takes no longer, in one of a few tries: others run here, too. A sanitizer's checks and
/// its large memory, which a child copies, cost time of their own.
void check_time_to_fall_back(nanoseconds most, std::size_t rounds) {
  if constexpr (sanitized) most *= 10;
  nanoseconds took = time_to_fall_back(rounds);
  for (int tries = 0; tries < 5 && took >= most; ++tries) took = time_to_fall_back(rounds);
  CHECK(took < most);
}
constexpr nanoseconds at_once = std::chrono::milliseconds(10);

}  // namespace

TEST_CASE("each refusal of a ring: epoll, and the reason") {
  if (!usable()) SKIP("io_uring is refused here");
  struct refusal {
    int code;
    std::string_view name;
    std::string more;
    bool passes;
  };
  const refusal one =
      GENERATE(refusal{ENOSYS, "ENOSYS", "", false}, refusal{EPERM, "EPERM", "", false},
               refusal{EACCES, "EACCES", "", false}, refusal{EINVAL, "EINVAL", "", false},
               refusal{ENOMEM, "ENOMEM", locked_memory(), true},
               refusal{EMFILE, "EMFILE", limit("RLIMIT_NOFILE", RLIMIT_NOFILE), true});
  CAPTURE(one.code);
  const anew fresh;
  {
    const ring_hooks hooks({}, refusing(ring_call_id::io_uring_queue_init_params, one.code));
    forget_uring_verdict();
    check_refused("refused: " + std::string(one.name) + one.more);
    const bool waits = one.code == ENOMEM;
    check_time_to_fall_back(waits ? with_patience : at_once, waits ? 1 : 9);
  }
  // What may pass is tried again, what can't is remembered.
  CHECK((backend_report().chosen() == backend::io_uring) == one.passes);
  CHECK((served_by() == "uring") == one.passes);
}

TEST_CASE("a ring that can't be made ready is refused") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  {
    const ring_hooks hooks({}, refusing(ring_call_id::io_uring_register_buf_ring, EINVAL));
    forget_uring_verdict();
    check_refused("no rings of buffers on this kernel");
  }
  const ring_hooks hooks({}, refusing(ring_call_id::io_uring_register, EACCES));
  forget_uring_verdict();
  check_refused("refused: EACCES at self-test: accept");
}

TEST_CASE("a ring that may not be entered is refused") {
  if (!usable()) SKIP("io_uring is refused here");
  struct refusal {
    int code;
    std::string_view why;
    bool passes;
  };
  const refusal one = GENERATE(refusal{EPERM, "EPERM", false}, refusal{ENOSYS, "ENOSYS", false},
                               refusal{EINVAL, "EINVAL", false}, refusal{ENOMEM, "ENOMEM", true},
                               // Nothing is ever submitted, and nobody waits longer than a second.
                               refusal{EAGAIN, "ETIMEDOUT", true});
  CAPTURE(one.code);
  const anew fresh;
  {
    const ring_hooks hooks({}, [&](ring_call_id made, std::uint64_t) {
      const bool enters = made == ring_call_id::io_uring_submit ||
                          made == ring_call_id::io_uring_submit_and_get_events ||
                          made == ring_call_id::io_uring_submit_and_wait_timeout;
      return enters ? -one.code : 0;
    });
    forget_uring_verdict();
    check_refused("refused: " + std::string(one.why) + " at self-test: accept");
  }
  CHECK((backend_report().chosen() == backend::io_uring) == one.passes);
}

TEST_CASE("a ring whose descriptor can't be registered serves all the same") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const ring_hooks hooks({}, refusing(ring_call_id::io_uring_register_ring_fd, EINVAL));
  forget_uring_verdict();
  CHECK(served_by() == "uring");
  CHECK(hooks.count(ring_call_id::io_uring_register_ring_fd) == 2);
  CHECK(hooks.violations().empty());
}

TEST_CASE("each step of the self-test: epoll, and the step's name") {
  if (!usable()) SKIP("io_uring is refused here");
  struct failing {
    std::uint8_t opcode;
    std::uint64_t nth;
    std::string_view step;
  };
  const failing one =
      GENERATE(failing{IORING_OP_ACCEPT, 1, "accept"},  //
               failing{IORING_OP_RECV, 1, "receive"}, failing{IORING_OP_RECV, 2, "receive again"},
               failing{IORING_OP_SEND, 1, "send and close"});
  CAPTURE(one.step);
  const anew fresh;
  const ring_hooks hooks([=](const request_seen& seen, std::uint64_t nth) {
    return request_fate{.code = seen.opcode == one.opcode && nth == one.nth ? EACCES : 0};
  });
  forget_uring_verdict();
  check_refused("refused: EACCES at self-test: " + std::string(one.step));
  CHECK(hooks.violations().empty());
}

TEST_CASE("a kernel that does less than it says is refused") {
  if (!usable()) SKIP("io_uring is refused here");
  struct lack {
    std::uint8_t opcode;
    std::uint64_t nth;
    request_fate fate;
    std::string_view why;
  };
  const lack one = GENERATE(  //
      lack{IORING_OP_ACCEPT, 1, {.code = EINVAL}, "no multishot accept on this kernel"},
      lack{IORING_OP_ACCEPT, 1, {.lone = true}, "no multishot accept on this kernel"},
      lack{IORING_OP_RECV, 2, {.code = EINVAL}, "no multishot receive on this kernel"},
      lack{IORING_OP_RECV, 2, {.lone = true}, "no multishot receive on this kernel"},
      lack{IORING_OP_SEND, 1, {.length = 3}, "refused: EMSGSIZE at self-test: send and close"});
  CAPTURE(one.why);
  const anew fresh;
  const ring_hooks hooks([=](const request_seen& seen, std::uint64_t nth) {
    return seen.opcode == one.opcode && nth == one.nth ? one.fate : request_fate{};
  });
  forget_uring_verdict();
  check_refused(one.why);
}

TEST_CASE("the self-test is made once a process") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const ring_hooks hooks;
  forget_uring_verdict();
  const auto rings = [&] { return hooks.count(ring_call_id::io_uring_queue_init_params); };
  CHECK(served_by() == "uring");
  CHECK(rings() == 2);
  CHECK(served_by() == "uring");
  CHECK(backend_report().chosen() == backend::io_uring);
  CHECK(rings() == 3);
  CHECK(hooks.violations().empty());
}

namespace {

/// What a thread is told of a backend before and after it has been given a filter for that call.
struct told {
  bool filtered = false;
  std::string before;
  std::string after;
};
told told_to_a_thread(backend which, long call, std::uint32_t verdict) {
  told found;
  std::thread([&] {
    found.before = backend_report(which).text();
    found.filtered = filter_call(call, verdict);
    found.after = backend_report(which).text();
  }).join();
  return found;
}

}  // namespace

TEST_CASE("a filter that comes after the first question is found out by the next one") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const std::string said = backend_report(backend::io_uring).text();
  struct filter {
    std::uint32_t verdict;
    std::string_view why;
  };
  // Each thread has as many as the others, and another one.
  for (const filter& one : {filter{SECCOMP_RET_ERRNO | EPERM, "refused: EPERM"},
                            filter{SECCOMP_RET_ERRNO | EACCES, "refused: EACCES"},
                            filter{SECCOMP_RET_KILL_PROCESS, "killed by SIGSYS"}}) {
    CAPTURE(one.why);
    const told found = told_to_a_thread(backend::io_uring, SYS_io_uring_setup, one.verdict);
    if (!found.filtered) SKIP("filters can't be had here");
    CHECK(found.before == said);
    CHECK(found.after ==
          "no backend can be used (io_uring: " + std::string(one.why) + ", seccomp mode 2)");
  }
  // This thread has none.
  CHECK(backend_report(backend::io_uring).text() == said);
}

TEST_CASE("what a ring is used by is asked for too, and where it kills is told") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const auto [call, name] = GENERATE(std::pair(SYS_io_uring_register, "io_uring_register"),
                                     std::pair(SYS_io_uring_enter, "io_uring_enter"),
                                     std::pair(SYS_getsockopt, "getsockopt"));
  const told found = told_to_a_thread(backend::io_uring, call, SECCOMP_RET_KILL_PROCESS);
  if (!found.filtered) SKIP("filters can't be had here");
  CHECK(found.after == "no backend can be used (io_uring: killed by SIGSYS at " +
                           std::string(name) + ", seccomp mode 2)");
}

TEST_CASE("a readiness backend that would be killed for is not opened") {
  const auto [which, name] =
      GENERATE(std::pair(backend::epoll, "epoll"), std::pair(backend::kqueue, "kqueue"));
  const auto [call, at] =
      GENERATE(std::pair(SYS_epoll_create1, ""), std::pair(SYS_epoll_ctl, " at epoll_ctl"),
               std::pair(SYS_eventfd2, " at eventfd"));
  CAPTURE(name, at);
  const told found = told_to_a_thread(which, call, SECCOMP_RET_KILL_PROCESS);
  if (!found.filtered) SKIP("filters can't be had here");
  CHECK(found.before == std::string(name) + ": usable");
  CHECK(found.after == std::string("no backend can be used (") + name + ": killed by SIGSYS" + at +
                           ", seccomp mode 2)");
}

TEST_CASE("what was refused in earnest", "[.refused]") {
  const backend_choice report = backend_report();
  INFO(report.text());
  REQUIRE(report.fell_back());
  const int code = report.candidates().front().usable.error().code();
  // A limit that is too low for any ring isn't waited for.
  const bool waits =
      (code == ENOMEM && limit("RLIMIT_MEMLOCK", RLIMIT_MEMLOCK) != ", RLIMIT_MEMLOCK=0") ||
      code == ETIMEDOUT;
  const leak_check leaks;
  check_time_to_fall_back(waits ? with_patience : at_once, waits ? 1 : 9);
  CHECK(served_by() == "epoll");
  // No child is left.
  CHECK(::waitpid(-1, nullptr, WNOHANG | __WALL) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("a program that minds its children sees nothing of the probe's", "[.refused]") {
  const std::string said = backend_report().text();
  static volatile std::sig_atomic_t signals = 0;
  // Ignored, children would be gone before they can be waited for.
  const auto handler = GENERATE(
      SIG_IGN, +[](int) { signals = 1; });
  const auto before = std::signal(SIGCHLD, handler);
  std::atomic<bool> done = false;
  std::atomic<int> reaped = 0;
  std::thread reaper([&] {
    while (!done)
      if (::waitpid(-1, nullptr, WNOHANG) > 0) ++reaped;
  });
  for (int rounds = 0; rounds < 3; ++rounds) {
    forget_uring_verdict();
    CHECK(backend_report().text() == said);
  }
  done = true;
  reaper.join();
  std::signal(SIGCHLD, before);
  CHECK(signals == 0);
  CHECK(reaped == 0);
}

TEST_CASE("the signal mask is as it was", "[.refused]") {
  sigset_t wanted, before, after;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGUSR2);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &wanted, &before) == 0);
  forget_uring_verdict();
  CHECK(backend_report().fell_back());
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, &after) == 0);
  for (int number = 1; number < NSIG; ++number)
    CHECK(::sigismember(&wanted, number) == ::sigismember(&after, number));
}

TEST_CASE("without IPv4's loopback the self-test takes another one") {
  if (!usable()) SKIP("io_uring is refused here");
  const int lacking = GENERATE(1, 2);
  const auto refused = GENERATE(call_id::bind, call_id::connect, call_id::socket);
  CAPTURE(lacking, call_names[static_cast<std::size_t>(refused)]);
  const leak_check leaks;
  const anew fresh;
  int left = lacking;
  const call_hooks hooks([&](call_id made, std::uint64_t) {
    return made == refused && left-- > 0 ? -EADDRNOTAVAIL : 0;
  });
  CHECK(uring_verdict());
  CHECK(left < 0);
}

TEST_CASE("a client that never arrives ends the self-test, and is tried again") {
  if (!usable()) SKIP("io_uring is refused here");
  const leak_check leaks;
  const anew fresh;
  {
    const call_hooks hooks(
        [](call_id made, std::uint64_t) { return made == call_id::connect ? -EINPROGRESS : 0; });
    const result<void> late = uring_verdict();
    REQUIRE_FALSE(late);
    CHECK(late.error().text() == "self-test: accept: ETIMEDOUT: Connection timed out");
  }
  CHECK(uring_verdict());
}

TEST_CASE("whichever call of the self-test fails, nothing stays open") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  for (std::size_t what = 0; what < call_names.size(); ++what) {
    if (call_names[what] == "clock_gettime" || call_names[what] == "close") continue;
    bool reached = true;
    for (std::uint64_t place = 1; reached; ++place) {
      CAPTURE(call_names[what], place);
      const leak_check leaks;
      forget_uring_verdict();
      reached = false;
      const call_hooks hooks([&](call_id made, std::uint64_t nth) {
        const bool now = static_cast<std::size_t>(made) == what && nth == place;
        reached |= now;
        return now ? -ENOMEM : 0;
      });
      const result<void> said = uring_verdict();
      if (!reached) CHECK(said);
    }
  }
}
