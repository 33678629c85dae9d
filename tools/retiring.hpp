// The listeners retire in a thread of their own, so that signals are heard meanwhile.
#pragma once

#include <hinge/loop_base.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server_base.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "print_error.hpp"

namespace hinge::serve {

/// Says on stderr what the plan for that listener is.
inline void tell_plan(const address& where, const retire_plan& plan) {
  hinge::print_error("hinge-serve: retiring {}: {}\n", where.text(), plan.text());
}

inline retire_report retire(loop_base& loop, const retire_options& how) {
  std::vector<retirement> all;
  for (std::size_t i = 0; i < loop.listeners(); ++i) {
    const address where = loop.listener_at(i).local();
    all.emplace_back(loop, i, how);
    tell_plan(where, all.back().plan());
  }
  return run_all(all);
}

inline retire_report retire(server_base& server, const retire_options& how) {
  const std::vector<retire_plan> plans = server.plan_retirement(how);
  for (std::size_t i = 0; i < plans.size(); ++i) tell_plan(server.listener_at(i).local(), plans[i]);
  return server.retire(how);
}

/// Of a loop or a server, which outlives it.
class retiring {
public:
  ~retiring() { (void)join(); }
  retiring() = default;
  retiring(const retiring&) = delete;
  retiring& operator=(const retiring&) = delete;

  /// Once; `held`: by a successor. `then` is called when that is done.
  template <class Listening>
  void begin(Listening& of, nanoseconds at_most, bool held, std::function<void()> then) {
    thread_ = std::thread([this, &of, at_most, held, then = std::move(then)] {
      constexpr nanoseconds enough = std::chrono::seconds(5);
      report_ = retire(of, {.within = std::min(at_most, enough), .held_elsewhere = held});
      then();
    });
  }
  /// Nothing: it was never begun.
  const std::optional<retire_report>& join() {
    if (thread_.joinable()) thread_.join();
    return report_;
  }

private:
  std::optional<retire_report> report_;
  std::thread thread_;
};

}  // namespace hinge::serve
