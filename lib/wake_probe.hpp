// How a readiness backend is tried: it opens, and hears its own wake-up in a turn.
#pragma once

#include <hinge/poller.hpp>

#include <array>
#include <chrono>
#include <string_view>

#include "backend_probe.hpp"

namespace hinge {

namespace detail {

constexpr nanoseconds wake_patience = std::chrono::seconds(1);

/// `waits`: the call that a turn makes.
template <poller Concrete>
result<void> hears_a_wake(const char* waits) noexcept {
  Concrete tried;
  if (result<void> opened = tried.open({.connections = 1, .accepts_per_turn = 1}); !opened)
    return opened;
  tried.wake();
  std::array<event, least_event_room> events;
  turn_terms terms{.until = deadline::after(now(), wake_patience)};
  for (;;) {
    const int count = tried.turn({}, events, terms);
    if (count < 0) return fail(waits, "a wake-up", -count);
    if (count > 0) return {};
    if (terms.until.passed(now())) return fail("self-test:", "a wake-up", ETIMEDOUT);
  }
}

}  // namespace detail

/// `survives` says first whether the process would live on, which is remembered: to ask costs a
/// child. Whether there is a descriptor to be had is another matter, and costs some microseconds.
/// Where no child can be had it is tried all the same: there is nothing safer to fall back to.
template <poller Concrete>
void ask_by_wake(backend_verdict& into, const char* waits,
                 void (*survives)(backend_verdict& into) noexcept) noexcept {
  static remembered_verdict survived(*backend_named(Concrete::name()));
  survived.ask(into, survives);
  if (!into.usable) {
    const std::string_view call = into.usable.error().call();
    if (call != "clone" && call != "wait4") return;
  }
  into.circumstances = {};
  into.usable = detail::hears_a_wake<Concrete>(waits);
  if (!into.usable) look_around(into);
}

}  // namespace hinge
