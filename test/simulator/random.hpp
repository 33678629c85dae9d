// Random numbers that are the same on every machine: from a seed, by splitmix64, or from bytes that
// somebody has chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace hinge::sim {

class random_source {
public:
  explicit random_source(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  /// Two bytes a number, of which each decides all that may be asked of it; behind the last one as
  /// from a seed.
  explicit random_source(std::span<const std::uint8_t> chosen) : random_source(1) {
    chosen_ = chosen;
  }

  std::uint64_t next() {
    if (chosen_.size() >= 2) {
      const auto number = static_cast<std::uint64_t>(chosen_[0] << 8 | chosen_[1]);
      chosen_ = chosen_.subspan(2);
      return number * 0x0001'0001'0001'0001;
    }
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 to `count` - 1; `count` is not 0.
  std::uint32_t below(std::size_t count) { return static_cast<std::uint32_t>(next() % count); }
  /// Both ends included.
  std::uint32_t between(std::uint32_t least, std::uint32_t most) {
    return least + below(most - least + 1);
  }
  bool chance(double probability) {
    if (probability <= 0) return false;
    return static_cast<double>(next() >> 11) < probability * 0x1p53;
  }
  template <class T>
  void shuffle(std::vector<T>& all) {
    for (std::size_t left = all.size(); left > 1; --left)
      std::swap(all[left - 1], all[below(left)]);
  }

private:
  std::uint64_t state_;
  std::span<const std::uint8_t> chosen_;
};

}  // namespace hinge::sim
