#include <hinge/server_options.hpp>

namespace hinge {

namespace {

void add(loop_counters& sum, const loop_counters& more) noexcept {
  for (std::size_t i = 0; i < close_causes; ++i) sum.closed[i] += more.closed[i];
  for (const loop_counter& one : loop_counter_table) sum.*one.count += more.*one.count;
}

}  // namespace

loop_counters server_statistics::total() const noexcept {
  loop_counters sum = acceptor;
  for (const loop_statistics& one : loops) add(sum, one.counters);
  // Counted by both.
  sum.accepted -= sum.handed_over;
  sum.handed_over = 0;
  return sum;
}

std::uint32_t server_statistics::open_connections() const noexcept {
  std::uint32_t sum = 0;
  for (const loop_statistics& one : loops) sum += one.open_connections;
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
