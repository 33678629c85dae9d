// What a loop asks of its backend for a listener whose accepts fail, turn by turn: the backend here
// says what it is told to say.
#include <hinge/fd.hpp>
#include <hinge/loop.hpp>

#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <deque>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using hinge::event;
using hinge::event_kind;
using hinge::operation;

namespace {

constexpr hinge::token door(hinge::role::listener, 0, 0);

constexpr hinge::token other_door(hinge::role::listener, 1, 0);

event accepted(int result, hinge::token at = door) {
  return {.subject = at, .result = result, .buffer = 0, .kind = event_kind::accepted};
}

event refused(operation what, int code) {
  return {.subject = door,
          .result = code,
          .buffer = static_cast<std::uint16_t>(what),
          .kind = event_kind::failed};
}

/// A completion backend that answers detaches, and besides says in each turn what comes next.
class scripted_poller {
public:
  hinge::result<void> open(const hinge::poller_options&) noexcept { return {}; }
  int turn(std::span<const hinge::change> changes, std::span<event> events,
           hinge::turn_terms& terms) noexcept {
    asked.clear();
    int count = 0;
    for (const hinge::change& one : changes) {
      asked.push_back(one.what);
      if (one.what == operation::detach)
        events[count++] = {.subject = one.subject, .kind = event_kind::detached};
    }
    until = terms.until;
    if (sleeps && (script.empty() || script.front().empty()))
      terms.now = std::max(terms.now, terms.until.when());
    if (!script.empty()) {
      for (const event& one : script.front()) events[count++] = one;
      script.pop_front();
    }
    return count;
  }
  void wake() const noexcept {}
  static constexpr std::string_view name() noexcept { return "scripted"; }
  hinge::poller_limits limits() const noexcept {
    return {.buffers = buffer_, .buffer_stride = 1, .buffer_count = 1, .peers = &peer_};
  }
  static constexpr bool completes() noexcept { return true; }

  bool was_asked(operation what) const { return std::ranges::count(asked, what) == 1; }

  std::deque<std::vector<event>> script;
  std::vector<operation> asked;  // of the last turn
  hinge::deadline until = hinge::deadline::never();
  bool sleeps = false;  // in virtual time, when nothing comes, as long as it may

private:
  mutable std::byte buffer_[1]{};
  hinge::inet_name peer_{};
};

struct deaf {
  void on_data(hinge::connection, std::span<std::byte>) {}
  void on_listener_recovered(std::size_t listener, const hinge::door_episode&) {
    recovered.push_back(listener);
  }

  std::vector<std::size_t> recovered;
};

struct listening_loop : hinge::loop<scripted_poller, deaf> {
  using loop_base::doors_;

  explicit listening_loop(hinge::exhaustion chosen = hinge::exhaustion::queue) {
    REQUIRE(open({.max_connections = 4, .on_exhaustion = chosen}));
    REQUIRE(listen(hinge::address::loopback(0)));
  }
  /// A turn in which the backend says `what`, and may wait for a minute.
  void turn_with(std::vector<event> what) {
    poller().script.push_back(std::move(what));
    turn(hinge::deadline::after(now(), 1min));
  }
};

}  // namespace

TEST_CASE("A listener that dies while it waits for a descriptor is not waited for") {
  listening_loop tested;
  tested.turn_with({});
  REQUIRE(tested.poller().was_asked(operation::accept));
  tested.turn_with({accepted(-EMFILE), accepted(-EINVAL)});
  CHECK(tested.counters().accept_exhausted == 1);
  CHECK(tested.counters().listeners_died == 1);
  tested.turn_with({});
  tested.turn_with({});
  CHECK(tested.poller().until == hinge::deadline::after(tested.now(), 1min));
  CHECK(tested.poller().asked.empty());
}

TEST_CASE("A dead listener is taken from the backend before it is closed") {
  listening_loop tested;
  tested.turn_with({});
  const int fd = tested.listener_at(0).fd();
  tested.turn_with({accepted(-EINVAL)});
  CHECK(tested.listener_at(0).fd() == fd);
  tested.turn_with({});
  CHECK(tested.poller().was_asked(operation::detach));
  CHECK(tested.listener_at(0).fd() == -1);
  CHECK(::fcntl(fd, F_GETFD) == -1);
  tested.turn_with({});
  CHECK(tested.poller().asked.empty());
}

TEST_CASE("A listener whose number is somebody else's is neither detached nor closed") {
  listening_loop tested;
  tested.turn_with({});
  const hinge::unique_fd fd(tested.listener_at(0).fd());
  tested.turn_with({accepted(-ENOTSOCK)});
  CHECK(tested.listener_at(0).fd() == -1);
  tested.turn_with({});
  CHECK(tested.poller().asked.empty());
  CHECK(::fcntl(fd.get(), F_GETFD) != -1);
}

TEST_CASE("A connection that comes while its listener waits ends the waiting") {
  listening_loop tested;
  tested.turn_with({refused(operation::accept, -ENOMEM)});
  tested.turn_with({});
  CHECK(tested.poller().asked.empty());
  CHECK(tested.poller().until < hinge::deadline::after(tested.now(), 1min));

  tested.turn_with({accepted(eventfd(0, EFD_CLOEXEC))});
  CHECK(tested.open_connections() == 1);
  tested.turn_with({});
  CHECK(tested.poller().was_asked(operation::accept));
}

TEST_CASE("An episode is told at its time while another listener has been tried again") {
  listening_loop tested;
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  tested.turn_with({});
  tested.turn_with({accepted(-EMFILE), accepted(-EMFILE, other_door)});
  tested.poller().sleeps = true;
  tested.turn_with({});
  CHECK(tested.now() == 100'000'000);
  // Both are tried again; nobody waits at the first any more.
  tested.turn_with({accepted(eventfd(0, EFD_CLOEXEC), other_door)});
  for (int i = 0; i < 10; ++i) tested.turn_with({});
  CHECK(std::ranges::count(tested.handler().recovered, 1) == 1);
  CHECK(tested.now() >= 60'000'000'000);
}

TEST_CASE("A listener that nobody comes to has recovered when nothing has failed for two seconds") {
  const auto chosen = GENERATE(hinge::exhaustion::queue, hinge::exhaustion::shed_reset);
  listening_loop tested(chosen);
  tested.turn_with({});
  tested.turn_with({accepted(-EMFILE)});
  CHECK(hinge::descriptor_waiters::any());
  tested.poller().sleeps = true;
  for (int i = 0; i < 10; ++i) tested.turn_with({});
  CHECK_FALSE(tested.door_at(0).recovering());
  CHECK_FALSE(tested.doors_.reserve().is_lent());
  CHECK_FALSE(hinge::descriptor_waiters::any());
  CHECK(tested.handler().recovered.size() == 1);
  CHECK(tested.now() >= 60'000'000'000);
}

TEST_CASE("A descriptor lent for a listener that died comes back with another one's accept") {
  listening_loop tested(hinge::exhaustion::shed_reset);
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  tested.turn_with({});
  tested.turn_with({accepted(-EMFILE), accepted(-EINVAL)});
  CHECK(tested.doors_.reserve().is_lent());
  tested.turn_with({accepted(eventfd(0, EFD_CLOEXEC), other_door)});
  CHECK(tested.open_connections() == 1);
  CHECK_FALSE(tested.doors_.reserve().is_lent());
  CHECK(tested.counters().shed == 0);
}

TEST_CASE("A descriptor lent for a listener that sheds resets nobody at one that queues") {
  struct choosing : deaf {
    hinge::exhaustion on_exhausted(std::size_t listener) {
      return listener == 0 ? hinge::exhaustion::shed_reset : hinge::exhaustion::queue;
    }
  };
  struct : hinge::loop<scripted_poller, choosing> {
    using loop_base::doors_;
  } tested;
  REQUIRE(tested.open({.max_connections = 4, .on_exhaustion = hinge::exhaustion::handler}));
  for (int i = 0; i < 2; ++i) REQUIRE(tested.listen(hinge::address::loopback(0)));
  const bool asked = GENERATE(false, true);
  CAPTURE(asked);
  hinge::unique_fd first(eventfd(0, EFD_CLOEXEC));
  hinge::unique_fd second(eventfd(0, EFD_CLOEXEC));
  const auto turn_with = [&tested](std::vector<event> what) {
    tested.poller().script.push_back(std::move(what));
    tested.turn(hinge::deadline::immediately());
  };
  turn_with({});
  std::vector<event> failures = {accepted(-EMFILE)};
  if (asked) failures.push_back(accepted(-EMFILE, other_door));
  turn_with(failures);
  REQUIRE(tested.doors_.reserve().is_lent());
  {
    const hinge::test::no_descriptors scarce;
    turn_with({accepted(first.release(), other_door)});
    CHECK(tested.open_connections() == 1);
    CHECK(tested.counters().shed == 0);
    turn_with({accepted(second.release())});
    CHECK(tested.open_connections() == 1);
    CHECK(tested.counters().shed == 1);
  }
}

TEST_CASE("A loop that is stopped by its handler lends nothing") {
  struct stopping : deaf {
    hinge::loop_base* loop = nullptr;
    void on_listener_error(std::size_t, int) { loop->stop(); }
  };
  struct : hinge::loop<scripted_poller, stopping> {
    using loop_base::doors_;
  } tested;
  tested.handler().loop = &tested;
  REQUIRE(tested.open({.max_connections = 4, .on_exhaustion = hinge::exhaustion::shed_reset}));
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  tested.turn();
  tested.poller().script.push_back({accepted(-EMFILE)});
  tested.turn();
  CHECK_FALSE(tested.doors_.reserve().is_lent());
  CHECK(tested.run() == 0);
}
