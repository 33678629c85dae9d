// The thread that accepts for the loops of the others.

#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>

#include "server_state.hpp"

namespace hinge {

/// What was given to a loop that has broken.
server_base::state::~state() {
  handed_connection left;
  for (worker& one : all_workers())
    while (one.inbox.take(left)) sockets::close_unchecked(left.fd);
}

int server_base::state::accept_for_loops() noexcept {
  loop_base& mine = *accepting.loop;
  while (!mine.finished()) {
    std::uint32_t left = room();
    if (left == 0) {
      // Who ends one from here on wakes this thread; it may have been just before.
      for (worker& one : all_workers()) one.inbox.wait_for_end();
      left = room();
    }
    mine.accept_at_most(std::min(left, options.loop.accepts_per_turn));
    if (const int turned = server.run_loop(acceptor); turned < 0) return turned;
    for (worker& one : all_workers()) {
      if (!std::exchange(one.given, false)) continue;
      one.loop->wake();
    }
  }
  return 0;
}

/// Connections that the loops have room for.
std::uint32_t server_base::state::room() noexcept {
  std::uint32_t all = 0;
  for (worker& one : all_workers())
    all += one.loop == nullptr ? of_each.max_connections : one.inbox.capacity() - one.inbox.load();
  return all;
}

bool server_base::state::give(const handed_connection& accepted) noexcept {
  worker* const to = choose();
  if (to == nullptr || !ready(*to)) return false;
  to->inbox.give(accepted);
  to->given = true;
  return true;
}

/// Who has the fewest; of equals, the one behind the last that was chosen. A thread that isn't
/// there yet is made when all that are have something to do.
server_base::state::worker* server_base::state::choose() noexcept {
  worker* best = nullptr;
  std::uint32_t least = 0xffff'ffff;
  for (std::uint32_t i = 0; i < count; ++i) {
    worker& one = workers[(next_worker + i) % count];
    const std::uint32_t load = one.loop == nullptr ? 0 : one.inbox.load();
    if (one.loop != nullptr && load >= one.inbox.capacity()) continue;
    const std::uint32_t cost = 2 * load + (one.loop == nullptr ? 1 : 0);
    if (cost >= least) continue;
    least = cost;
    best = &one;
  }
  if (best != nullptr) next_worker = (best->index + 1) % count;
  return best;
}

/// thread_per_connection: its loop and its thread are made when they are needed first.
bool server_base::state::ready(worker& one) noexcept {
  if (one.loop != nullptr) return true;
  const std::lock_guard lock(mutex);
  if (!open_one(one, of_each) || !begin(one)) {
    one.loop = nullptr;
    return false;
  }
  return true;
}

}  // namespace hinge
