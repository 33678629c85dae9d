// One deadline for each table slot: arming, moving, disarming and expiring cost O(1).
//
// A single wheel of 4096 buckets of 8.4 ms. A deadline further away than the wheel's 34 s stands in
// its last bucket and is looked at again there. So is one that was put off after it was armed:
// putting a deadline off needs no call at all, the owner just answers "not yet, but at T" when its
// slot comes up. Nothing fires early; it fires at most one tick late.
#pragma once

#include <hinge/export.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace hinge {

class deadline_wheel {
public:
  static constexpr unsigned tick_bits = 23;  ///< a tick is 2^23 ns = 8.4 ms
  static constexpr std::uint32_t buckets = 4096;
  static constexpr std::size_t bytes_per_slot = 2 * sizeof(std::uint32_t) + sizeof(std::uint16_t);

  /// Memory: bytes_per_slot for each slot, and 17 KiB. `start` is the clock's reading now. False:
  /// no memory.
  HINGE_API bool open(std::uint32_t capacity, instant start) noexcept;

  /// Arms a slot that is not armed; `at` is the clock's reading now. A moment that has passed comes
  /// up with the next tick.
  HINGE_API void arm(std::uint32_t slot, instant when, instant at) noexcept;
  /// Disarms an armed slot.
  HINGE_API void disarm(std::uint32_t slot) noexcept;
  /// Brings an armed slot's moment forward; does nothing when it stands earlier already.
  HINGE_API void arm_earlier(std::uint32_t slot, instant when) noexcept;

  /// No slot is armed.
  bool empty() const noexcept { return occupied_words_ == 0; }
  /// When the earliest armed slot comes up; never, when none is armed.
  HINGE_API deadline next() const noexcept;

  /// False: certainly nothing is due at `at`.
  bool may_be_due(instant at) const noexcept {
    return occupied_words_ != 0 && (at - start_) >> tick_bits >= cursor_;
  }
  /// Takes the next slot that is due at `at` off the wheel (it is disarmed), or `none`.
  HINGE_API std::uint32_t take_due(instant at) noexcept;
  static constexpr std::uint32_t none = 0xffffffff;

private:
  struct link {
    std::uint32_t next;
    std::uint32_t previous;
  };

  void place(std::uint32_t slot, instant when) noexcept;
  std::int64_t tick_of(instant when) const noexcept;
  std::uint32_t distance_to_first() const noexcept;

  raw_array<link> links_;
  raw_array<std::uint16_t> bucket_of_;
  std::array<std::uint32_t, buckets> heads_;
  std::array<std::uint64_t, buckets / 64> occupied_{};
  std::uint64_t occupied_words_ = 0;  // bit i: occupied_[i] is not 0
  std::int64_t cursor_ = 0;           // every bucket of an earlier tick is empty
  instant start_ = 0;
};

}  // namespace hinge
