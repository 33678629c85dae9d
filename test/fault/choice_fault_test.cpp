// The choice among backends when some or all are refused, or memory is short: what is tried, in
// which order, how long, and what is told.
#include <hinge/any_poller.hpp>
#include <hinge/uring.hpp>

#include "fault/served_by.hpp"
#include "simulator/call_hooks.hpp"
#include "simulator/ring_hooks.hpp"
#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

using namespace hinge;
using namespace hinge::test;

TEST_CASE("a loop whose own ring is refused is served by epoll, and says what was refused") {
  if (!usable()) SKIP("io_uring is refused here");
  const leak_check leaks;
  const anew fresh;
  const ring_hooks hooks({}, [](ring_call_id made, std::uint64_t nth) {
    return made == ring_call_id::io_uring_queue_init_params && nth > 1 ? -EMFILE : 0;
  });
  forget_uring_verdict();
  any_poller poller;
  REQUIRE(poller.open({}));
  CHECK(poller.choice().text() ==
        "epoll: usable (io_uring: refused: EMFILE" + limit("RLIMIT_NOFILE", RLIMIT_NOFILE) + ")");
  CHECK(poller.choice().fell_back());
  CHECK(served_by() == "epoll");
  hinge::result<any_poller> alone = any_poller::of(backend::io_uring);
  REQUIRE(alone);
  CHECK_FALSE(alone->open({}));
  CHECK(alone->choice().text() == "no backend can be used (io_uring: refused: EMFILE" +
                                      limit("RLIMIT_NOFILE", RLIMIT_NOFILE) + ")");
}

TEST_CASE("epoll is tried too, and what is refused of all is told of all") {
  struct refusal {
    call_id what;
    int code;
    std::string_view why;
  };
  const refusal one =
      GENERATE(refusal{call_id::epoll_create1, EMFILE, "EMFILE at epoll_create1, RLIMIT_NOFILE="},
               refusal{call_id::epoll_create1, EPERM, "EPERM at epoll_create1"},
               refusal{call_id::epoll_ctl, ENOSPC, "ENOSPC at epoll_ctl"},
               refusal{call_id::eventfd, ENOSYS, "ENOSYS at eventfd"},
               refusal{call_id::epoll_wait, EPERM, "EPERM at epoll_wait"});
  CAPTURE(one.why);
  const leak_check leaks;
  const anew fresh;
  {
    const ring_hooks rings({}, refusing(ring_call_id::io_uring_queue_init_params, EPERM));
    const call_hooks calls(
        [&](call_id made, std::uint64_t) { return made == one.what ? -one.code : 0; });
    forget_uring_verdict();
    // Further down the list, and not there: in this program kqueue is a model on epoll.
    any_poller poller = *any_poller::of({backend::io_uring, backend::epoll});
    const result<void> opened = poller.open({});
    REQUIRE_FALSE(opened);
    const std::string said = opened.error().text();
    CAPTURE(said);
    if (one.what != call_id::eventfd) {
      CHECK(said.starts_with("backend io_uring: refused: EPERM; epoll: refused: "));
      CHECK(opened.error().code() == EPERM);
    }
    CHECK(said.find("epoll: refused: " + std::string(one.why)) != said.npos);
    CHECK(poller.choice().chosen() == backend::automatic);
    CHECK(poller.name() == "none");
    const backend_choice report = backend_report({backend::io_uring, backend::epoll});
    CHECK(report.chosen() == backend::automatic);
    CHECK(report.candidates()[1].text().starts_with("refused: " + std::string(one.why)));
  }
  // It isn't remembered.
  CHECK(backend_report(backend::epoll).chosen() == backend::epoll);
}

TEST_CASE("the list is gone down to the end") {
  const anew fresh;
  const call_hooks calls([&](call_id made, std::uint64_t nth) {
    return made == call_id::epoll_create1 && nth == 1 ? -EPERM : 0;
  });
  any_poller poller = *any_poller::of({backend::epoll, backend::kqueue});
  REQUIRE(poller.open({}));
  CHECK(poller.name() == "kqueue");
  CHECK(poller.choice().text() == "kqueue: usable (epoll: refused: EPERM at epoll_create1)");
}

TEST_CASE("epoll that doesn't hear its own wake-up isn't used") {
  const call_hooks calls(
      [](call_id made, std::uint64_t) { return made == call_id::write ? -EPERM : 0; });
  const backend_choice report = backend_report(backend::epoll);
  CHECK(report.text() ==
        "no backend can be used (epoll: refused: ETIMEDOUT at self-test: a wake-up)");
}

TEST_CASE("memory that comes back is waited for, and the ring is whole") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const ring_hooks rings({}, [](ring_call_id made, std::uint64_t nth) {
    return made == ring_call_id::io_uring_queue_init_params && nth <= 3 ? -ENOMEM : 0;
  });
  uring_poller poller;
  REQUIRE(poller.open({}));
  CHECK(rings.count(ring_call_id::io_uring_queue_init_params) == 4);
}

TEST_CASE("memory that stays short is waited for once, then a smaller ring does") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  static std::vector<unsigned> asked;
  asked.clear();
  const sys::ring_table before = sys::current_ring;
  sys::current_ring.io_uring_queue_init_params = [](unsigned entries, io_uring* ring,
                                                    io_uring_params* terms) {
    asked.push_back(entries);
    return entries > 128 ? -ENOMEM : ::io_uring_queue_init_params(entries, ring, terms);
  };
  const instant start = now();
  for (int loops = 0; loops < 3; ++loops) {
    CHECK(served_by() == "uring");
    CHECK(asked.back() == 128);
  }
  sys::current_ring = before;
  CHECK(nanoseconds(now() - start) < 2 * with_patience);
  // The last two: the whole, the half, and the quarter.
  REQUIRE(asked.size() > 6);
  const std::vector<unsigned> last(asked.end() - 6, asked.end());
  CHECK(last == std::vector<unsigned>{512, 256, 128, 512, 256, 128});
}

namespace {

/// A clock that goes on by what is slept alone, and memory that is always short.
struct short_of_memory {
  short_of_memory() {
    current_at = now();
    naps = 0;
    sys::current.clock_gettime = [](clockid_t, timespec* into) noexcept {
      *into = {.tv_sec = current_at / 1'000'000'000, .tv_nsec = current_at % 1'000'000'000};
      return 0;
    };
    sys::current.syscall = [](long number, long a, long b, long c, long d, long e,
                              long f) noexcept {
      if (number != SYS_futex) return sys::real.syscall(number, a, b, c, d, e, f);
      ++naps;
      const auto* const most = reinterpret_cast<const long*>(d);
      current_at += most[0] * 1'000'000'000 + most[1];
      return -static_cast<long>(ETIMEDOUT);
    };
    sys::current_ring.io_uring_queue_init_params = [](unsigned, io_uring*, io_uring_params*) {
      return -ENOMEM;
    };
  }
  ~short_of_memory() {
    sys::current = before;
    sys::current_ring = ring_before;
  }
  const sys::call_table before = sys::current;
  const sys::ring_table ring_before = sys::current_ring;
  static inline instant current_at;
  static inline int naps;
};

/// As read(2), and whose capabilities /proc tells has none.
ssize_t without_privileges(int fd, void* into, std::size_t length) noexcept {
  const ssize_t got = sys::real.read(fd, into, length);
  constexpr std::string_view key = "CapEff:\t";
  const std::string_view text(static_cast<char*>(into),
                              got < 0 ? 0 : static_cast<std::size_t>(got));
  const std::size_t found = text.find(key);
  if (found != text.npos) std::fill_n(static_cast<char*>(into) + found + key.size(), 16, '0');
  return got;
}

}  // namespace

TEST_CASE("a shortage is waited for once, and a later one once more") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const short_of_memory shortage;
  const auto naps_of_one = [&] {
    shortage.naps = 0;
    CHECK_FALSE(uring_poller().open({}));
    return shortage.naps;
  };
  const instant start = now();
  const int first = naps_of_one();
  CHECK(first > 100);
  CHECK(nanoseconds(now() - start) < with_patience);
  CHECK(naps_of_one() == 0);
  short_of_memory::current_at += 5'000'000'000;
  CHECK(naps_of_one() == 0);
  short_of_memory::current_at += 60'000'000'000;
  CHECK(naps_of_one() == first);
}

TEST_CASE("with smaller and smaller rings a shortage is waited for no longer") {
  const anew fresh;
  // Remembered: a self-test would be the first to wait.
  if (!usable()) SKIP("io_uring is refused here");
  const short_of_memory shortage;
  // Each ring is had, its buffers are not, and what it had comes back late.
  static instant back_at;
  static std::vector<unsigned> had;
  back_at = 0;
  had.clear();
  sys::current_ring.io_uring_queue_init_params = [](unsigned entries, io_uring* ring,
                                                    io_uring_params* terms) {
    if (short_of_memory::current_at < back_at) return -ENOMEM;
    had.push_back(entries);
    return ::io_uring_queue_init_params(entries, ring, terms);
  };
  sys::current_ring.io_uring_register_buf_ring = [](io_uring*, io_uring_buf_reg*, unsigned) {
    return -ENOMEM;
  };
  sys::current_ring.io_uring_queue_exit = [](io_uring* ring) {
    back_at = short_of_memory::current_at + 140'000'000;
    ::io_uring_queue_exit(ring);
  };
  const instant start = now();
  CHECK_FALSE(uring_poller().open({}));
  CHECK(nanoseconds(now() - start) < with_patience);
  REQUIRE_FALSE(had.empty());
  CHECK(had.front() == 512);
  CHECK(had.back() < 512);
}

TEST_CASE("memory that no waiting gives is not waited for") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const short_of_memory shortage;
  sys::current.read = without_privileges;
  static rlim_t limit;
  sys::current.getrlimit = [](int, rlimit* into) noexcept {
    *into = {.rlim_cur = limit, .rlim_max = limit};
    return 0;
  };
  for (const rlim_t bytes : {0, 4096, 8192}) {
    limit = bytes;
    CHECK_FALSE(uring_poller().open({}));
    CHECK(shortage.naps == 0);
  }
  limit = 1 << 20;
  CHECK_FALSE(uring_poller().open({}));
  CHECK(shortage.naps > 100);
}

TEST_CASE("a child that somebody else has killed is no verdict for ever") {
  if (!usable()) SKIP("io_uring is refused here");
  const anew fresh;
  const sys::call_table before = sys::current;
  // What can't be read may be a filter.
  sys::current.open = [](const char*, int) noexcept { return -ENOENT; };
  sys::current.syscall = [](long number, long a, long b, long c, long d, long e, long f) noexcept {
    const long made = sys::real.syscall(number, a, b, c, d, e, f);
    if (number == SYS_wait4 && made > 0) *reinterpret_cast<int*>(b) = SIGKILL;
    return made;
  };
  const backend_choice report = backend_report(backend::io_uring);
  sys::current = before;
  CHECK(report.candidates().front().text() == "killed by signal 9");
  CHECK(backend_report(backend::io_uring).chosen() == backend::io_uring);
}
