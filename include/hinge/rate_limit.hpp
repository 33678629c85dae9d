// So many a second, and a burst.
#pragma once

#include <hinge/time.hpp>

#include <algorithm>
#include <cstdint>

namespace hinge {

/// What a token bucket allows: it holds `burst` and gains `per_second`. A rate of 0 is no limit.
struct rate {
  std::uint32_t per_second = 0;
  std::uint32_t burst = 0;  ///< 0: as many as come in a second

  bool limits() const noexcept { return per_second != 0; }
  friend bool operator==(const rate&, const rate&) noexcept = default;
};

/// The bucket of one rate as a single moment: when it will be full again (the virtual scheduling
/// algorithm of ITU-T I.371, Annex A). Nothing runs between two questions.
class rate_limit {
public:
  explicit rate_limit(rate of = {}) noexcept {
    if (!of.limits()) return;
    interval_ = 1'000'000'000 / of.per_second;
    slack_ = interval_ * (std::max<instant>(of.burst != 0 ? of.burst : of.per_second, 1) - 1);
  }

  bool limits() const noexcept { return interval_ != 0; }
  /// Takes one out of the bucket that is full at `full_at`, which it moves on; false: it is empty.
  bool take(instant now, instant& full_at) const noexcept {
    if (!limits()) return true;
    const instant from = std::max(now, full_at);
    if (from - now > slack_) return false;
    full_at = from + interval_;
    return true;
  }
  /// Undoes take().
  void put_back(instant& full_at) const noexcept { full_at -= interval_; }

private:
  instant interval_ = 0;  // between two, in the long run
  instant slack_ = 0;     // how far ahead of it a burst may be
};

}  // namespace hinge
