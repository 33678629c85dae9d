// A poller behind a pointer: every call arrives, with what it was given, and ownership is kept.
#include <hinge/any_poller.hpp>

#include <catch2/catch_test_macros.hpp>

#include "support/readiness_poller.hpp"

#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>
#endif

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

using hinge::any_poller;
using hinge::backend;
using hinge::poller_options;

namespace {

/// Records what it is called with, and answers what the test asked for.
template <bool Completes>
class recorder {
public:
  static inline int alive = 0;

  recorder() noexcept { ++alive; }
  ~recorder() { --alive; }
  recorder(const recorder&) = delete;
  recorder& operator=(const recorder&) = delete;

  hinge::result<void> open(const poller_options& options) noexcept {
    opened_with = options;
    ++opens;
    if (refuse != 0) return hinge::fail("recorder", "open", refuse);
    return {};
  }
  int turn(std::span<const hinge::change> changes, std::span<hinge::event> events,
           hinge::turn_terms& terms) noexcept {
    turned_with = changes;
    room = events;
    terms_given = &terms;
    terms.now += 5;
    return answer;
  }
  void wake() const noexcept { ++wakes; }
  static constexpr std::string_view name() noexcept { return Completes ? "completing" : "ready"; }
  hinge::poller_limits limits() const noexcept { return known; }
  static constexpr bool completes() noexcept { return Completes; }

  poller_options opened_with{};
  int opens = 0;
  int refuse = 0;
  std::span<const hinge::change> turned_with{};
  std::span<hinge::event> room{};
  const hinge::turn_terms* terms_given = nullptr;
  int answer = 0;
  mutable int wakes = 0;
  hinge::poller_limits known{};
};

using ready = recorder<false>;
using completing = recorder<true>;

}  // namespace

TEST_CASE("every call goes to the poller behind, with what it was given") {
  ready behind;
  any_poller poller = any_poller::borrow(behind);
  CHECK(static_cast<bool>(poller));
  CHECK(poller.name() == "ready");
  CHECK_FALSE(poller.completes());

  REQUIRE(poller.open({.accepts_per_turn = 3, .receive_buffers = 4, .receive_buffer_bytes = 5}));
  CHECK(behind.opens == 1);
  CHECK(behind.opened_with.accepts_per_turn == 3);
  CHECK(behind.opened_with.receive_buffers == 4);
  CHECK(behind.opened_with.receive_buffer_bytes == 5);

  std::array<hinge::change, 2> changes;
  std::array<hinge::event, 7> events;
  hinge::turn_terms terms{.now = 100};
  behind.answer = 6;
  CHECK(poller.turn(changes, events, terms) == 6);
  CHECK(behind.turned_with.data() == changes.data());
  CHECK(behind.turned_with.size() == 2);
  CHECK(behind.room.data() == events.data());
  CHECK(behind.room.size() == 7);
  CHECK(behind.terms_given == &terms);
  CHECK(terms.now == 105);
  behind.answer = -EBADF;
  CHECK(poller.turn({}, events, terms) == -EBADF);
  CHECK(behind.turned_with.empty());

  std::as_const(poller).wake();
  poller.wake();
  CHECK(behind.wakes == 2);

  std::byte buffer{};
  const hinge::inet_name peer;
  behind.known = {.buffers = &buffer, .buffer_stride = 8, .buffer_count = 9, .peers = &peer};
  CHECK(poller.limits().buffers == &buffer);
  CHECK(poller.limits().buffer_stride == 8);
  CHECK(poller.limits().buffer_count == 9);
  CHECK(poller.limits().peers == &peer);
}

TEST_CASE("what open refuses is passed on") {
  ready behind;
  behind.refuse = EPERM;
  any_poller poller = any_poller::borrow(behind);
  const hinge::result<void> opened = poller.open({});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code() == EPERM);
  CHECK(std::string(opened.error().call()) == "recorder");
}

TEST_CASE("whether the poller completes is known from its type") {
  completing behind;
  const any_poller poller = any_poller::borrow(behind);
  CHECK(poller.completes());
  CHECK(poller.name() == "completing");
}

TEST_CASE("a poller that was made is owned, through moves; a borrowed one is left alone") {
  REQUIRE(ready::alive == 0);
  {
    any_poller owner = any_poller::make<ready>();
    CHECK(static_cast<bool>(owner));
    CHECK(owner.name() == "ready");
    CHECK(ready::alive == 1);
    any_poller moved = std::move(owner);
    CHECK(ready::alive == 1);
    CHECK(moved.open({}).has_value());
    moved = any_poller::make<completing>();
    CHECK(ready::alive == 0);
    CHECK(completing::alive == 1);
    CHECK(moved.completes());
    CHECK(moved.name() == "completing");
  }
  CHECK(completing::alive == 0);

  ready behind;
  {
    any_poller borrower = any_poller::borrow(behind);
    const any_poller moved = std::move(borrower);
    moved.wake();
  }
  CHECK(ready::alive == 1);
  CHECK(behind.wakes == 1);
  STATIC_CHECK_FALSE(std::is_copy_constructible_v<any_poller>);
}

TEST_CASE("an empty any_poller says so, and opens what the report has chosen") {
  any_poller poller;
  CHECK_FALSE(static_cast<bool>(poller));
  CHECK(poller.name() == "none");
  REQUIRE(poller.open({}));
  CHECK(static_cast<bool>(poller));
  CHECK(poller.name() == hinge::backend_name(hinge::backend_report().chosen()));
}

TEST_CASE("the automatic choice is made by opening it") {
  hinge::result<any_poller> poller = any_poller::of(backend::automatic);
  REQUIRE(poller.has_value());
  CHECK(poller->name() == "none");
  REQUIRE(poller->open({}));
  CHECK(poller->name() == hinge::backend_name(hinge::backend_report().chosen()));
}

TEST_CASE("of a list the first that can be used is opened, and of one its name is known") {
  using hinge::test::readiness_backend;
  hinge::result<any_poller> poller = any_poller::of({readiness_backend, backend::io_uring});
  REQUIRE(poller.has_value());
  CHECK(poller->name() == "none");
  REQUIRE(poller->open({}));
  CHECK(poller->name() == backend_name(readiness_backend));
  poller = any_poller::of(hinge::built_backends());
  REQUIRE(poller.has_value());
  REQUIRE(poller->open({}));
  CHECK(poller->name() == hinge::backend_name(hinge::backend_report().chosen()));
  poller = any_poller::of(readiness_backend);
  REQUIRE(poller.has_value());
  CHECK(poller->name() == backend_name(readiness_backend));
}

TEST_CASE("what became of the candidates is told by the poller itself") {
  using hinge::test::readiness_backend;
  any_poller chosen;
  CHECK(chosen.choice().candidates().empty());
  REQUIRE(chosen.open({}));
  CHECK(backend_name(chosen.choice().chosen()) == chosen.name());
  CHECK(chosen.choice().candidates().back().which == chosen.choice().chosen());
  const any_poller moved = std::move(chosen);
  CHECK(backend_name(moved.choice().chosen()) == moved.name());
  // Named alone.
  hinge::result<any_poller> named = any_poller::of(readiness_backend);
  REQUIRE(named.has_value());
  CHECK(named->choice().candidates().empty());
  REQUIRE(named->open({}));
  CHECK(named->choice().text() == std::string(backend_name(readiness_backend)) + ": usable");
  // Wrong options are nobody's refusal, and others' pollers no candidates.
  named = any_poller::of(readiness_backend);
  CHECK_FALSE(named->open({.accepts_per_turn = 0}).has_value());
  CHECK(named->choice().candidates().empty());
  ready behind;
  any_poller borrowed = any_poller::borrow(behind);
  REQUIRE(borrowed.open({}));
  CHECK(borrowed.choice().candidates().empty());
}

TEST_CASE("a wrong option is refused, not dodged by another backend") {
  const bool uring = hinge::backend_report().chosen() == backend::io_uring;
  any_poller poller;
  const hinge::result<void> refused = poller.open({.accepts_per_turn = 0});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == EINVAL);
  CHECK(poller.name() == "none");
  CHECK(poller.open({.receive_buffers = 3}).has_value() != uring);
  if (uring) CHECK(poller.open({}).has_value());
}

TEST_CASE("each backend that is usable can be had by its name, opened, and woken") {
  const hinge::backend_choice report = hinge::backend_report();
  for (const hinge::backend_verdict& verdict : report.candidates()) {
    CAPTURE(hinge::backend_name(verdict.which));
    hinge::result<any_poller> poller = any_poller::of(verdict.which);
    CHECK(poller.has_value() == verdict.built);
    if (!poller) continue;
    CHECK(poller->name() == hinge::backend_name(verdict.which));
    const hinge::result<void> opened = poller->open({});
    CHECK(opened.has_value() == verdict.usable.has_value());
    if (!opened) continue;
    poller->wake();
    std::array<hinge::event, 4> events;
    hinge::turn_terms terms{.until = hinge::deadline::never()};
    REQUIRE(poller->turn({}, events, terms) == 1);
    CHECK(events[0].kind == hinge::event_kind::woken);
    CHECK(terms.now > 0);
    CHECK(poller->limits().peers != nullptr);
  }
}

#ifdef HINGE_HAVE_URING
TEST_CASE("a poller keeps the options that it was made with") {
  any_poller poller =
      any_poller::make(hinge::uring_poller({.submissions = 64, .completions = 256}));
  if (!poller.open({})) return;
  CHECK(poller.limits().requests == 64);
  CHECK(poller.limits().completions == 256);
  constexpr unsigned begins_disabled = 1U << 6;  // IORING_SETUP_R_DISABLED
  CHECK((poller.limits().setup_flags & begins_disabled) != 0);
}
#endif

TEST_CASE("a backend that is not in this build is EINVAL") {
  hinge::result<any_poller> poller = any_poller::of(static_cast<backend>(200));
  REQUIRE_FALSE(poller.has_value());
  CHECK(poller.error().text() == "backend unknown: EINVAL: Invalid argument");
#ifndef HINGE_HAVE_URING
  poller = any_poller::of(backend::io_uring);
  REQUIRE_FALSE(poller.has_value());
  CHECK(poller.error().text() == "backend uring: not built: EINVAL: Invalid argument");
#endif
}
