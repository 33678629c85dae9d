// The listeners retire in a thread of their own, so that signals are heard meanwhile.
#pragma once

#include <hinge/loop_base.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server_base.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "print_error.hpp"

namespace hinge::serve {

/// Says on stderr what the plan for that listener is.
inline void tell_plan(const address& where, const retire_plan& plan) {
  hinge::print_error("hinge-serve: retiring {}: {}\n", where.text(), plan.text());
}

/// Whether somebody else holds that listener's sockets.
using held_listeners = std::function<bool(std::size_t index)>;

/// Whoever has the sockets has their paths, too, however this process ends.
template <class Listening>
void leave_paths(Listening& of, const held_listeners& held) {
  for (std::size_t i = 0; i < of.listeners(); ++i)
    if (held(i)) of.set_path_file(i, {});
}

/// Of a loop or a server, which outlives it.
class retiring {
public:
  ~retiring() { (void)join(); }
  retiring() = default;
  retiring(const retiring&) = delete;
  retiring& operator=(const retiring&) = delete;

  /// Once. `then` is called when that is done and nothing was stopped, with what is left of
  /// `at_most`.
  template <class Listening>
  void begin(Listening& of, nanoseconds at_most, held_listeners held,
             std::function<void(nanoseconds left)> then) {
    const auto all = [this, &of, at_most, held = std::move(held), then = std::move(then)] {
      constexpr nanoseconds enough = std::chrono::seconds(5);
      const instant began = now();
      report_ = retire(of, {.within = std::min(at_most, enough)}, held);
      const std::lock_guard lock(mutex_);
      if (!stopped_) then(std::max(at_most - nanoseconds(now() - began), nanoseconds(0)));
    };
    try {
      thread_ = std::thread(all);
    } catch (const std::system_error&) {
      all();  // no thread can be had: signals wait so long
    }
  }
  /// `order` has the loop or server close everything at once: not while the listeners are looked
  /// at, nor are they looked at afterwards, and a retirement gives up.
  template <class Order>
  void stop(Order order) {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    order();
  }
  /// Nothing: it was never begun.
  const std::optional<retire_report>& join() {
    if (thread_.joinable()) thread_.join();
    return report_;
  }

private:
  retire_report retire(loop_base& loop, retire_options how, const held_listeners& held) {
    std::vector<retirement> all;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < loop.listeners() && !stopped_; ++i) {
        how.held_elsewhere = held(i);
        all.emplace_back(loop, i, how);
      }
    }
    for (std::size_t i = 0; i < all.size(); ++i)
      tell_plan(loop.listener_at(i).local(), all[i].plan());
    return run_all(all, [this] {
      const std::lock_guard lock(mutex_);
      return stopped_;
    });
  }
  static retire_report retire(server_base& server, retire_options how, const held_listeners& held) {
    std::vector<retire_options> of_each;
    for (std::size_t i = 0; i < server.listeners(); ++i) {
      how.held_elsewhere = held(i);
      of_each.push_back(how);
      tell_plan(server.listener_at(i).local(), server.plan_retirement(i, how));
    }
    return server.retire(of_each);
  }

  std::mutex mutex_;
  bool stopped_ = false;
  std::optional<retire_report> report_;
  std::thread thread_;
};

}  // namespace hinge::serve
