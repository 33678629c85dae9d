// The thread that accepts for the loops of the others.

#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "server_state.hpp"

namespace hinge {

namespace {

/// As long as no thread can be had: a loop's first back-off.
constexpr nanoseconds between_tries = std::chrono::milliseconds(100);
/// Whether somebody has room, once this thread's loop has ended.
constexpr nanoseconds between_looks = std::chrono::milliseconds(1);

}  // namespace

int server_base::state::accept_for_loops() noexcept {
  loop_base& mine = *accepting.loop;
  while (!mine.finished()) {
    deadline until = deadline::never();
    give_waiting();
    wake_those_given();
    std::uint32_t left = room();
    if (left == 0) {
      if (!make_next()) until = deadline::after(now(), between_tries);
      // Who ends one from here on wakes this thread; it may have been just before.
      for (worker& one : all_workers()) one.inbox.wait_for_end();
      left = room();
      if (left == 0 && all_gone()) mine.stop();
    }
    mine.accept_at_most(std::min(left, options.loop.accepts_per_turn));
    if (const int turned = server.turn_acceptor(until); turned < 0) return turned;
  }
  wake_those_given();
  give_the_rest();
  return 0;
}

/// Those who had been accepted before a drain, and have to wait, are served in its time.
void server_base::state::give_the_rest() noexcept {
  std::unique_lock lock(mutex);
  while (waiting() != nullptr && !all_gone()) {
    const order how = ending.value_or(order{.at_once = true});
    if (how.at_once || how.until.passed(now())) return;
    lock.unlock();
    give_waiting();
    wake_those_given();
    lock.lock();
    answered.wait_for(lock, between_looks);
  }
}

bool server_base::state::all_gone() noexcept {
  return std::ranges::all_of(all_workers(), [](const worker& one) { return one.gone.load(); });
}

/// Under the mutex. Nobody serves those any more who still wait when the accepting thread has
/// ended, or were given to a loop that ended then.
void server_base::state::shed_left() noexcept {
  if (!accepts_apart() || accepting.phase == worker::runs) return;
  loop_counters& counts = accepting.loop->counters_;
  const auto shed = [&](connection_inbox& of) {
    handed_connection left;
    while (of.take(left)) {
      sockets::reset_on_close(left.fd);
      sockets::close_unchecked(left.fd);
      --counts.handed_over;
      ++counts.shed;
    }
  };
  shed(accepting.inbox);
  for (worker& one : all_workers())
    if (one.gone) shed(one.inbox);
}

void server_base::state::wake_those_given() noexcept {
  for (worker& one : all_workers())
    if (std::exchange(one.given, false)) one.loop->wake();
}

/// Connections that the loops have room for.
std::uint32_t server_base::state::room() noexcept {
  std::uint32_t all = 0;
  for (worker& one : all_workers())
    if (one.loop != nullptr && !one.gone) all += one.inbox.capacity() - one.inbox.load();
  return all;
}

bool server_base::state::give(const handed_connection& accepted) noexcept {
  if (accepting.inbox.load() >= accepting.inbox.capacity()) return false;
  accepting.inbox.give(accepted);
  give_waiting();
  return true;
}

/// Where somebody waits for a loop: one that has ended hadn't taken him yet; or a ring has told of
/// more than it was asked for, when its listener was let go. Null: nobody does.
connection_inbox* server_base::state::waiting() noexcept {
  for (worker& one : all_workers())
    if (one.gone && one.inbox.holds()) return &one.inbox;
  return accepting.inbox.holds() ? &accepting.inbox : nullptr;
}

void server_base::state::give_waiting() noexcept {
  handed_connection next;
  while (connection_inbox* const from = waiting()) {
    worker* to = choose();
    if (to == nullptr && make_next()) to = choose();
    if (to == nullptr) return;
    (void)from->take(next);
    from->ended();
    to->inbox.give(next);
    to->given = true;
  }
}

/// Who has the fewest; of equals, the one behind the last that was chosen.
server_base::state::worker* server_base::state::choose() noexcept {
  worker* best = nullptr;
  std::uint32_t least = 0xffff'ffff;
  for (std::uint32_t i = 0; i < count; ++i) {
    worker& one = workers[(next_worker + i) % count];
    if (one.loop == nullptr || one.gone) continue;
    const std::uint32_t load = one.inbox.load();
    if (load >= one.inbox.capacity() || load >= least) continue;
    least = load;
    best = &one;
  }
  if (best != nullptr) next_worker = (best->index + 1) % count;
  return best;
}

/// thread_per_connection: the next loop and its thread, when all that are have something to do. It
/// comes before the connection, so that who can't have one waits in the kernel's queue. False: it
/// can't be had now.
bool server_base::state::make_next() noexcept {
  const std::span<worker> all = all_workers();
  const auto next =
      std::find_if(all.begin(), all.end(), [](const worker& one) { return one.loop == nullptr; });
  if (next == all.end()) return true;
  // Without the mutex: the user's factory may post, and others ask meanwhile.
  const result<loop_base*> made = open_one(*next, of_each);
  if (!made) return false;
  const std::lock_guard lock(mutex);
  next->loop = *made;
  if (begin(*next)) return true;
  next->loop = nullptr;
  return false;
}

}  // namespace hinge
