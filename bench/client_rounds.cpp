// A client whose operations begin together: the server is held until all of them wait in its queue,
// and what is timed is how it serves them.
#include "client.hpp"

#include <algorithm>
#include <chrono>

namespace hinge::bench {

namespace {

constexpr nanoseconds fill_patience = std::chrono::milliseconds(200);

}  // namespace

void client::measure_rounds() {
  run_rounds_until(now() + options_.warmup.count());
  measuring_ = true;
  if (!over()) {
    if (options_.on_begin) options_.on_begin();
    run_rounds_until(now() + options_.duration.count());
    for (const nanoseconds drain : result_.drains) result_.elapsed += drain;
    if (options_.on_end) options_.on_end();
  }
  result_.unfinished += under_way_;
  result_.interrupted = stop_.load(std::memory_order_relaxed);
}

void client::run_rounds_until(instant end) {
  clock_ = now();
  while (clock_ < end && !over()) run_round();
}

void client::run_round() {
  phase_end_ = arrivals::never;
  options_.hold(true);
  const auto all = static_cast<std::uint32_t>(idle_.size());
  for (std::uint32_t i = 0; i < all; ++i) {
    connection& one = connections_[idle_.front()];
    idle_.pop_front();
    begin(one, now());
  }
  std::uint32_t waiting = 0;
  const instant patience = now() + fill_patience.count();
  // At least one turn: who is answered already wasn't held. All are registered before it counts.
  do {
    turn();
    waiting = waiting_at_server();
  } while ((waiting < all || !unregistered_.empty()) && clock_ < patience && !over());
  const cpu_usage before = usage_of_this_thread();
  const instant released = now();
  for (connection& one : connections_) {
    if (one.now != state::idle) one.intended = one.started = released;
  }
  options_.hold(false);
  while (idle_.size() < all && !over()) turn();
  if (!measuring_ || over()) return;
  const cpu_usage used = usage_of_this_thread() - before;
  result_.client.ran += used.ran;
  result_.client.waited += used.waited;
  result_.drains.emplace_back(now() - released);
  result_.least_waiting = std::min(result_.least_waiting.value_or(waiting), waiting);
}

// Who has sent all is connected, and answered by nobody yet.
std::uint32_t client::waiting_at_server() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(connections_.begin(), connections_.end(), [this](const connection& one) {
        return one.now == state::under_way && one.sent == script_.request;
      }));
}

}  // namespace hinge::bench
