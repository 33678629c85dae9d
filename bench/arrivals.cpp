#include "arrivals.hpp"

#include <cmath>

namespace hinge::bench {

std::string_view name_of(arrival_kind kind) noexcept {
  return kind == arrival_kind::constant ? "constant" : "poisson";
}

arrivals::arrivals(arrival_kind kind, double per_second, double shift, std::uint64_t seed)
    : kind_(kind), gap_(1e9 / per_second), shift_(shift), random_(seed) {}

void arrivals::start(instant at) {
  start_ = at;
  end_ = never;
  offset_ = gap_ * (kind_ == arrival_kind::constant ? shift_ : exponential_(random_));
  next_ = start_ + std::llround(offset_);
}

instant arrivals::take() noexcept {
  const instant taken = next_;
  // The sum stays in doubles, so that a distance of 333.3 ns doesn't become 333.
  offset_ += gap_ * (kind_ == arrival_kind::constant ? 1 : exponential_(random_));
  next_ = start_ + std::llround(offset_);
  return taken;
}

std::uint64_t arrivals::take_all(instant at) noexcept {
  std::uint64_t count = 0;
  for (; next() <= at; take()) ++count;
  return count;
}

}  // namespace hinge::bench
