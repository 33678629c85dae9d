// The listeners of a server retire: each is a socket for each loop, or one that the loops share.

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
  for (std::size_t i = 0; i < listeners(); ++i) all.push_back(state_->retirement_of(i, how).plan());
  return all;
}

retire_report server_base::retire(const retire_options& how) noexcept {
  return state_->retire(0, listeners(), how);
}
retire_report server_base::retire(std::size_t index, const retire_options& how) noexcept {
  return state_->retire(index, index + 1, how);
}

/// All at the same time.
retire_report server_base::state::retire(std::size_t first, std::size_t end,
                                         const retire_options& how) noexcept {
  std::vector<retirement> all;
  for (std::size_t i = first; i < end; ++i) {
    all.push_back(retirement_of(i, how));
    if (shared.empty()) continue;
    // The loops have duplicates.
    const std::lock_guard lock(mutex);
    if (how.held_elsewhere) shared[i].keep_path();
    shared[i].close();
  }
  return run_all(all);
}

}  // namespace hinge
