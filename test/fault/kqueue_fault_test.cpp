// What some kernels' kevent(2) refuses, and the model of it doesn't.
#include <hinge/fd.hpp>
#include <hinge/kqueue.hpp>

#include "sys.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>

using namespace hinge;

namespace {

using kevents = decltype(sys::current.kevent);

/// In place of kevent(2) while it lives.
struct instead {
  explicit instead(kevents call) { sys::current.kevent = call; }
  ~instead() { sys::current.kevent = before; }
  instead(const instead&) = delete;
  instead& operator=(const instead&) = delete;
  const kevents before = sys::current.kevent;
};

}  // namespace

TEST_CASE("kqueue: no wait is longer than a kernel takes") {
  kqueue_poller poller;
  REQUIRE(poller.open({}));
  static timespec asked;
  asked = {};
  const instead wait_refusing([](int, const sys::kernel_event*, sys::kernel_count,
                                 sys::kernel_event*, sys::kernel_count,
                                 const timespec* wait) noexcept {
    asked = *wait;
    // As NetBSD's, OpenBSD's and macOS's.
    return wait->tv_sec > 100'000'000 || wait->tv_nsec > 999'999'999 ? -EINVAL : 0;
  });
  std::array<event, 4> events;
  for (const std::chrono::hours wait :
       {std::chrono::hours(24), std::chrono::hours(24 * 365 * 200)}) {
    turn_terms terms{.until = deadline::after(now(), wait)};
    CHECK(poller.turn({}, events, terms) == 0);
    CHECK(asked.tv_sec >= std::min<long>(24 * 3600 - 1, 10'000'000));
  }
  CHECK(asked.tv_sec == 10'000'000);
}

TEST_CASE("kqueue: a connection that nobody reads from any more is still read") {
  kqueue_poller poller;
  REQUIRE(poller.open({.connections = 4}));
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const unique_fd near(ends[0]);
  const unique_fd far(ends[1]);
  static int refused;
  refused = 0;
  // As macOS is reported to: the filter for writing can't be added.
  const instead write_refusing([](int queue, const sys::kernel_event* changes,
                                  sys::kernel_count count, sys::kernel_event* into,
                                  sys::kernel_count room, const timespec* wait) noexcept {
    sys::kernel_count errors = 0;
    for (sys::kernel_count i = 0; i < count; ++i) {
      if (changes[i].filter == EVFILT_WRITE && (changes[i].flags & EV_ADD) != 0) {
        into[errors] = changes[i];
        into[errors].flags = EV_ERROR;
        into[errors++].data = EPIPE;
      } else {
        const timespec at_once{};
        sys::real.kevent(queue, &changes[i], 1, nullptr, 0, &at_once);
      }
    }
    refused += errors;
    return errors > 0 ? errors : sys::real.kevent(queue, nullptr, 0, into, room, wait);
  });
  const token subject(role::connection, 1, 1);
  const std::array wanted = {
      change{.subject = subject, .fd = near.get(), .what = operation::receive},
      change{.subject = subject, .fd = near.get(), .what = operation::send}};
  std::array<event, 4> events;
  turn_terms terms{.until = deadline::after(now(), std::chrono::seconds(5))};
  CHECK(poller.turn(wanted, events, terms) == 0);
  REQUIRE(refused == 1);
  REQUIRE(::send(far.get(), "x", 1, MSG_NOSIGNAL) == 1);
  REQUIRE(poller.turn({}, events, terms) == 1);
  CHECK(events[0].kind == event_kind::readable);
  CHECK(events[0].subject == subject);
}
