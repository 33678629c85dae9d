// Monotonic time as plain 64-bit nanoseconds: cheap to store in a table, cheap to compare.
#pragma once

#include <hinge/export.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

namespace hinge {

/// Nanoseconds; the only unit of durations in the library's interfaces.
using nanoseconds = std::chrono::nanoseconds;

/// A point of CLOCK_MONOTONIC in nanoseconds since an arbitrary start.
using instant = std::int64_t;

/// Reads CLOCK_MONOTONIC (clock_gettime(2), answered by the vDSO without entering the kernel).
HINGE_API instant now() noexcept;

/// The moment until which a wait may last.
class deadline {
public:
  static constexpr deadline never() noexcept { return deadline(forever); }
  static constexpr deadline immediately() noexcept { return deadline(0); }
  static constexpr deadline at(instant when) noexcept { return deadline(when); }
  /// Saturates: a wait too long for the clock is `never`.
  static constexpr deadline after(instant start, nanoseconds wait) noexcept {
    return deadline(wait.count() > forever - start ? forever : start + wait.count());
  }

  constexpr instant when() const noexcept { return when_; }
  constexpr bool is_never() const noexcept { return when_ == forever; }
  constexpr bool is_immediate() const noexcept { return when_ == 0; }
  constexpr bool passed(instant at) const noexcept { return when_ <= at; }

  /// Milliseconds from `at`, as epoll_wait(2) wants them: -1 for never, 0 when passed, otherwise
  /// rounded *up*, because a wait cut to 0 ms would spin until the deadline.
  constexpr int milliseconds_from(instant at) const noexcept {
    if (is_never()) return -1;
    if (passed(at)) return 0;
    const instant wait = (when_ - at - 1) / 1'000'000 + 1;
    return wait > std::numeric_limits<int>::max() ? std::numeric_limits<int>::max()
                                                  : static_cast<int>(wait);
  }

  friend constexpr auto operator<=>(deadline, deadline) noexcept = default;

private:
  static constexpr instant forever = std::numeric_limits<instant>::max();
  explicit constexpr deadline(instant when) noexcept : when_(when) {}
  instant when_;
};

}  // namespace hinge
