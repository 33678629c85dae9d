// When the operations of an open loop begin: on a schedule that knows nothing of the server.
#pragma once

#include <hinge/time.hpp>

#include <cstdint>
#include <limits>
#include <random>
#include <string_view>

namespace hinge::bench {

/// constant: in equal distances. poisson: independently of one another, as many clients' requests
/// are; the distances are exponential, so that some come close together.
enum class arrival_kind : std::uint8_t { constant, poisson };
std::string_view name_of(arrival_kind) noexcept;

class arrivals {
public:
  static constexpr instant never = std::numeric_limits<instant>::max();

  /// `per_second` > 0; `shift`, 0 to 1: of a constant schedule, in its distances, so that several
  /// threads don't begin together. The same seed gives the same distances.
  arrivals(arrival_kind kind, double per_second, double shift, std::uint64_t seed);

  void start(instant at);
  /// None at that moment or later.
  void end(instant at) noexcept { end_ = at; }

  /// The intended start of the next operation; never: there is none before the end.
  instant next() const noexcept { return next_ < end_ ? next_ : never; }
  /// next(), which is then the one after.
  instant take() noexcept;
  /// How many were to begin up to `at` and have not been taken: they are taken.
  std::uint64_t take_all(instant at) noexcept;

private:
  arrival_kind kind_;
  double gap_;  // ns, the mean
  double shift_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> exponential_{1};
  instant start_ = 0;
  double offset_ = 0;  // ns, of next_ from start_
  instant next_ = never;
  instant end_ = never;
};

}  // namespace hinge::bench
