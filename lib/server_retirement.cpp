// The listeners of a server retire: each is a socket for each loop, or one that the loops share.

#include <cassert>
#include <utility>

#include "server_state.hpp"

namespace hinge {

retirement server_base::state::retirement_of(std::size_t index,
                                             const retire_options& how) noexcept {
  const bool shares = !shared.empty();
  const std::lock_guard lock(mutex);
  std::vector<std::vector<loop_door>> sockets;
  // The loops close theirs, meanwhile.
  if (ending) return {sockets, how};
  const auto add = [&](worker& one) {
    if (one.loop == nullptr || one.phase != worker::runs) return;
    if (!shares || sockets.empty()) sockets.emplace_back();
    sockets.back().push_back({.loop = one.loop, .listener = index});
  };
  if (accepts_apart()) {
    add(accepting);
  } else {
    for (worker& one : all_workers()) add(one);
  }
  return {sockets, how};
}

std::vector<retire_plan> server_base::plan_retirement(const retire_options& how) const noexcept {
  std::vector<retire_plan> all;
  for (std::size_t i = 0; i < listeners(); ++i) all.push_back(plan_retirement(i, how));
  return all;
}

retire_plan server_base::plan_retirement(std::size_t index,
                                         const retire_options& how) const noexcept {
  return state_->retirement_of(index, how).plan();
}

retire_report server_base::retire(const retire_options& how) noexcept {
  return retire(std::vector<retire_options>(listeners(), how));
}
retire_report server_base::retire(std::span<const retire_options> of_each) noexcept {
  assert(of_each.size() == listeners());
  return state_->retire(0, of_each);
}
retire_report server_base::retire(std::size_t index, const retire_options& how) noexcept {
  return state_->retire(index, {&how, 1});
}

/// All at the same time.
retire_report server_base::state::retire(std::size_t first,
                                         std::span<const retire_options> of_each) noexcept {
  std::vector<retirement> all;
  for (std::size_t i = first; i < first + of_each.size(); ++i) {
    const retire_options& how = of_each[i - first];
    all.push_back(retirement_of(i, how));
    if (shared.empty()) continue;
    // The loops have duplicates.
    const std::lock_guard lock(mutex);
    if (how.held_elsewhere) shared[i].keep_path();
    shared[i].close();
  }
  return run_all(all, [this] {
    const std::lock_guard lock(mutex);
    return ending.has_value();
  });
}

}  // namespace hinge
