#include <hinge/server_options.hpp>

#include <algorithm>

#include "server_state.hpp"

namespace hinge {

namespace {

void add(loop_counters& sum, const loop_counters& more) noexcept {
  for (std::size_t i = 0; i < close_causes; ++i) sum.closed[i] += more.closed[i];
  for (const loop_counter& one : loop_counter_table) sum.*one.count += more.*one.count;
}

/// Absent where none of them tells it.
template <class Join>
void add(std::optional<std::uint32_t>& sum, std::optional<std::uint32_t> more, Join join) noexcept {
  if (more) sum = join(sum.value_or(0), *more);
}

void add(listener_telemetry& sum, const listener_telemetry& more, bool same_socket) noexcept {
  const auto most = [](auto one, auto other) { return std::max(one, other); };
  const auto of_all = [&](auto one, auto other) {
    return same_socket ? most(one, other) : one + other;
  };
  sum.closed = sum.closed && more.closed;
  sum.accepting = sum.accepting || more.accepting;
  sum.asked_backlog = more.asked_backlog;
  sum.effective_backlog = more.effective_backlog;
  add(sum.waiting, more.waiting, of_all);
  add(sum.most_waiting, more.most_waiting, most);
  add(sum.drops, more.drops, of_all);
  sum.pauses += more.pauses;
  sum.paused += more.paused;
  if (!more.accepts) return;
  accept_figures& accepts = sum.accepts ? *sum.accepts : sum.accepts.emplace();
  accepts.accepted += more.accepts->accepted;
  accepts.turns += more.accepts->turns;
  accepts.lag += more.accepts->lag;
  accepts.longest_lag = most(accepts.longest_lag, more.accepts->longest_lag);
}

}  // namespace

std::vector<listener_telemetry> server_base::state::gathered_listeners() noexcept {
  std::vector<listener_telemetry> all;
  const loop_base& first = who_listens();
  for (std::size_t i = 0; i < first.listeners(); ++i) {
    listener_telemetry sum;
    sum.where = first.listener_at(i).local();
    sum.closed = true;
    const auto with = [&](const worker& one) {
      if (!one.told.late && i < one.listeners.size()) add(sum, one.listeners[i], !shards());
    };
    for (const worker& one : all_workers()) with(one);
    with(accepting);
    all.push_back(sum);
  }
  return all;
}

loop_counters server_statistics::total() const noexcept {
  loop_counters sum;
  if (acceptor) add(sum, acceptor->counters);
  for (const loop_statistics& one : loops) add(sum, one.counters);
  // Counted by both.
  sum.accepted -= sum.handed_over;
  sum.handed_over = 0;
  return sum;
}

std::uint32_t server_statistics::open_connections() const noexcept {
  std::uint32_t sum = 0;
  for (const loop_statistics& one : loops) sum += one.open;
  return sum;
}

std::uint32_t server_statistics::half_closed() const noexcept {
  std::uint32_t sum = 0;
  for (const loop_statistics& one : loops) sum += one.half_closed;
  return sum;
}

std::optional<nanoseconds> server_statistics::oldest_half_closed() const noexcept {
  std::optional<nanoseconds> oldest;  // less than any
  for (const loop_statistics& one : loops) oldest = std::max(oldest, one.oldest_half_closed);
  return oldest;
}

std::uint64_t server_statistics::queued_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const loop_statistics& one : loops) sum += one.queued_bytes;
  return sum;
}

double fairness_of(std::span<const std::uint64_t> shares) noexcept {
  double sum = 0;
  double squares = 0;
  for (const std::uint64_t share : shares) {
    const auto x = static_cast<double>(share);
    sum += x;
    squares += x * x;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(shares.size()) * squares);
}

}  // namespace hinge
