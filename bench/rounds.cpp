#include "rounds.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hinge::bench {

rounds::rounds(std::size_t contenders, std::uint64_t seed, run run)
    : contenders_(contenders), seed_(seed), run_(std::move(run)), random_(seed) {}

std::vector<std::vector<double>> rounds::once() {
  std::vector<std::size_t> order(contenders_ + 1);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random_);
  std::vector<std::vector<double>> found(order.size());
  for (const std::size_t who : order) found[who] = run_(who);
  return found;
}

void rounds::warm_up() { once(); }

void rounds::one() {
  const auto found = once();
  values_.resize(found.size());
  for (std::size_t who = 0; who < found.size(); ++who) {
    values_[who].resize(found[who].size());
    for (std::size_t i = 0; i < found[who].size(); ++i) values_[who][i].push_back(found[who][i]);
  }
  ++done_;
}

double rounds::median(std::size_t who, std::size_t figure) const {
  return done_ == 0 ? 0 : median_of(values_[who][figure]);
}

interval rounds::ratio(std::size_t who, std::size_t figure) const {
  if (done_ == 0) return {};
  series ratios = values_[who][figure];
  for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] /= values_[0][figure][i];
  return bootstrap_median(ratios, seed_);
}

}  // namespace hinge::bench
