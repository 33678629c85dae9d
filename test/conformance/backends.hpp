// The backends that must conform. A further one is one more line in `backends`.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/epoll.hpp>
#include <hinge/loop.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>
#endif

#include "conformance/world.hpp"
#include "simulator/sim_poller.hpp"

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace hinge::test {

/// A poller by itself, in the world where it belongs.
template <class Poller, class World>
struct plain {
  using poller = Poller;
  using world = World;
  static constexpr bool completes = Poller::completes();
  static std::unique_ptr<poller> make() { return std::make_unique<poller>(); }
  template <class Handler>
  static auto make_loop(Handler handler) {
    return std::make_unique<loop<poller, Handler>>(std::move(handler));
  }
};

/// The same poller chosen at run time.
template <class Poller, class World>
struct chosen {
  using poller = any_poller;
  using world = World;
  static constexpr bool completes = Poller::completes();
  static std::unique_ptr<poller> make() {
    return std::make_unique<any_poller>(any_poller::make<Poller>());
  }
  template <class Handler>
  static auto make_loop(Handler handler) {
    return std::make_unique<loop<any_poller, Handler>>(any_poller::make<Poller>(),
                                                       std::move(handler));
  }
};

using backends = std::tuple<  //
#ifdef HINGE_HAVE_URING
    plain<uring_poller, uring_world>,   //
    chosen<uring_poller, uring_world>,  //
#endif
    plain<epoll_poller, real_world>,                 //
    chosen<epoll_poller, real_world>,                //
    plain<sim::readiness_poller, simulated_world>,   //
    plain<sim::completion_poller, simulated_world>,  //
    chosen<sim::readiness_poller, simulated_world>,  //
    chosen<sim::completion_poller, simulated_world>>;

template <bool Completes, class... Backends>
auto of_family(std::tuple<Backends...>) -> decltype(std::tuple_cat(
    std::conditional_t<Backends::completes == Completes, std::tuple<Backends>, std::tuple<>>()...));
using readiness_backends = decltype(of_family<false>(backends()));
using completion_backends = decltype(of_family<true>(backends()));

}  // namespace hinge::test
