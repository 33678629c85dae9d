// A backend that must conform, as a value: a case is compiled once and runs on each. The types of
// pollers, loops and worlds end here.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/event.hpp>
#include <hinge/loop.hpp>

#include "conformance/note_taker.hpp"
#include "conformance/world.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace hinge::test {

/// A poller of any type.
class tested_poller {
public:
  virtual ~tested_poller() = default;
  virtual result<void> open(const poller_options& options) = 0;
  virtual int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) = 0;
  virtual void wake() const = 0;
  virtual poller_limits limits() const = 0;
};

/// A loop on a poller of any type, and its handler.
class tested_loop {
public:
  virtual ~tested_loop() = default;
  virtual result<void> open(const loop_options& options) = 0;
  virtual int turn(deadline until = deadline::never()) = 0;
  virtual int run() = 0;
  virtual void wind_down() = 0;
  virtual void drain(nanoseconds timeout) = 0;
  virtual note_taker& handler() = 0;
  virtual loop_base& base() = 0;
};

/// When a receive goes on by itself after an answer.
enum class receives : std::uint8_t { go_on, go_on_unless_once, never_go_on };

struct tested_backend {
  std::string_view name;
  bool completes;
  receives receiving;
  /// Says why not, where the system refuses it.
  result<void> (*usable)();
  std::unique_ptr<world> (*make_world)();
  std::unique_ptr<tested_poller> (*make_poller)();
  std::unique_ptr<tested_loop> (*make_loop)();

  /// Whether a receive with those flags goes on after an answer.
  bool receive_goes_on(std::uint8_t flags) const {
    return receiving == receives::go_on ||
           (receiving == receives::go_on_unless_once && (flags & change::once) == 0);
  }
  /// Registrations with the kernel for a connection that has had so many answers, the first of them
  /// to a receive for one.
  std::size_t registrations(std::size_t answers) const {
    if (!receive_goes_on(0)) return answers;
    return !receive_goes_on(change::once) && answers > 1 ? 2 : 1;
  }
};

namespace detail {

template <class Poller>
class poller_of final : public tested_poller {
public:
  template <class... Chosen>
  explicit poller_of(Chosen... chosen) : poller_(std::move(chosen)...) {}
  result<void> open(const poller_options& options) override { return poller_.open(options); }
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) override {
    return poller_.turn(changes, events, terms);
  }
  void wake() const override { poller_.wake(); }
  poller_limits limits() const override { return poller_.limits(); }

private:
  Poller poller_;
};

template <class Poller>
class loop_of final : public tested_loop {
public:
  template <class... Chosen>
  explicit loop_of(Chosen... chosen) : loop_(std::move(chosen)..., note_taker()) {}
  result<void> open(const loop_options& options) override { return loop_.open(options); }
  int turn(deadline until) override { return loop_.turn(until); }
  int run() override { return loop_.run(); }
  void wind_down() override { loop_.wind_down(); }
  void drain(nanoseconds timeout) override { loop_.drain(timeout); }
  note_taker& handler() override { return loop_.handler(); }
  loop_base& base() override { return loop_; }

private:
  loop<Poller, note_taker> loop_;
};

template <class Base, class Made, class... Chosen>
std::unique_ptr<Base> make() {
  return std::make_unique<Made>(any_poller::make<Chosen>()...);
}

template <class World, class Poller, class... Chosen>
tested_backend row(std::string_view name, bool completes, receives receiving) {
  return {.name = name,
          .completes = completes,
          .receiving = receiving,
          .usable = World::usable,
          .make_world = make<world, World>,
          .make_poller = make<tested_poller, poller_of<Poller>, Chosen...>,
          .make_loop = make<tested_loop, loop_of<Poller>, Chosen...>};
}

}  // namespace detail

/// A poller by itself, in the world where it belongs.
template <class Poller, class World>
tested_backend plain(std::string_view name, receives receiving = receives::go_on) {
  return detail::row<World, Poller>(name, Poller::completes(), receiving);
}

/// The same poller chosen at run time.
template <class Poller, class World>
tested_backend chosen(std::string_view name, receives receiving = receives::go_on) {
  return detail::row<World, any_poller, Poller>(name, Poller::completes(), receiving);
}

/// The one that hinge chooses; a readiness backend.
template <class World>
tested_backend automatic(std::string_view name) {
  return detail::row<World, any_poller>(name, false, receives::go_on);
}

}  // namespace hinge::test
