// The backends that must conform. A further one is one more line in `backends`.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/epoll.hpp>
#include <hinge/kqueue.hpp>
#include <hinge/loop.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>

#include "conformance/uring_world.hpp"
#endif
#include "conformance/kqueue_world.hpp"
#include "conformance/world.hpp"
#include "simulator/sim_poller.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace hinge::test {

/// Whether this run is about the poller that hinge chooses by itself, which is epoll's because
/// io_uring is refused: fallback.py. The other rows are skipped then.
inline bool only_automatic() {
  static const bool asked = std::getenv("HINGE_TEST_AUTOMATIC") != nullptr;
  return asked;
}
inline void skip_unless_automatic() {
  if (only_automatic()) SKIP("not the automatic choice");
}

/// Whether a receive goes on by itself, unless one answer alone is wanted.
template <class Poller>
inline constexpr bool receives_go_on = true;
/// Whether a receive for one answer doesn't go on.
template <class Poller>
inline constexpr bool heeds_once = false;

/// What a poller is, whether it is chosen at run time or not.
template <class Poller, class World>
struct traits {
  using world = World;
  static constexpr bool completes = Poller::completes();
  /// Whether a receive with those flags goes on after an answer.
  static constexpr bool receive_goes_on(std::uint8_t flags) {
    return receives_go_on<Poller> && !(heeds_once<Poller> && (flags & change::once) != 0);
  }
  /// Registrations with the kernel for a connection that has had so many answers, the first of them
  /// to a receive for one.
  static constexpr std::size_t registrations(std::size_t answers) {
    if (!receives_go_on<Poller>) return answers;
    return heeds_once<Poller> && answers > 1 ? 2 : 1;
  }
};

/// A poller by itself, in the world where it belongs.
template <class Poller, class World>
struct plain : traits<Poller, World> {
  using poller = Poller;
  static std::unique_ptr<poller> make() {
    skip_unless_automatic();
    return std::make_unique<poller>();
  }
  template <class Handler>
  static auto make_loop(Handler handler) {
    skip_unless_automatic();
    return std::make_unique<loop<poller, Handler>>(std::move(handler));
  }
};

/// The same poller chosen at run time, by the caller or by hinge.
template <class Poller, class World>
struct chosen : traits<Poller, World> {
  using poller = any_poller;
  static std::unique_ptr<poller> make() { return std::make_unique<any_poller>(choose()); }
  template <class Handler>
  static auto make_loop(Handler handler) {
    return std::make_unique<loop<any_poller, Handler>>(choose(), std::move(handler));
  }

private:
  static any_poller choose() {
    if (!std::is_same_v<Poller, epoll_poller>) skip_unless_automatic();
    if (!only_automatic()) return any_poller::make<Poller>();
    REQUIRE(backend_report().chosen() == backend::epoll);
    REQUIRE(backend_report().fell_back());
    return any_poller();
  }
};

#ifdef HINGE_HAVE_URING
#define HINGE_TEST_URING_POLLERS(X) \
  X(uring_poller) X(test::uring_polls_first) X(test::uring_accepts_one)
/// The io_uring backend with options of its own.
struct uring_polls_first : uring_poller {
  uring_polls_first() noexcept : uring_poller({.receive = uring_receive::poll_first}) {}
};
struct uring_accepts_one : uring_poller {
  uring_accepts_one() noexcept : uring_poller({.accept_one = true}) {}
};
template <>
inline constexpr bool heeds_once<uring_poller> = true;
template <>
inline constexpr bool heeds_once<uring_accepts_one> = true;
template <>
inline constexpr bool receives_go_on<uring_polls_first> = false;

using uring_backends = std::tuple<          //
    plain<uring_poller, uring_world>,       //
    plain<uring_polls_first, uring_world>,  //
    plain<uring_accepts_one, uring_world>,  //
    chosen<uring_poller, uring_world>>;
#else
#define HINGE_TEST_URING_POLLERS(X)
using uring_backends = std::tuple<>;
#endif
/// The pollers of all backends, by their names in hinge.
#define HINGE_TEST_POLLERS(X) \
  X(epoll_poller)             \
  X(kqueue_poller)            \
  X(any_poller) X(sim::readiness_poller) X(sim::completion_poller) HINGE_TEST_URING_POLLERS(X)

using portable_backends = std::tuple<                //
    plain<epoll_poller, real_world>,                 //
    chosen<epoll_poller, real_world>,                //
    plain<kqueue_poller, kqueue_world>,              //
    chosen<kqueue_poller, lean_kqueue_world>,        //
    plain<sim::readiness_poller, simulated_world>,   //
    plain<sim::completion_poller, simulated_world>,  //
    chosen<sim::readiness_poller, simulated_world>,  //
    chosen<sim::completion_poller, simulated_world>>;
using backends = decltype(std::tuple_cat(portable_backends(), uring_backends()));

template <bool Completes, class... Backends>
auto of_family(std::tuple<Backends...>) -> decltype(std::tuple_cat(
    std::conditional_t<Backends::completes == Completes, std::tuple<Backends>, std::tuple<>>()...));
using readiness_backends = decltype(of_family<false>(backends()));
using completion_backends = decltype(of_family<true>(backends()));

}  // namespace hinge::test
