// The received buffers that a completion backend has handed to the loop, and who still needs them.
#pragma once

#include <hinge/event.hpp>
#include <hinge/poller.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace hinge {

/// Counts references; the last one to go gives the buffer back. No slow peer keeps more than its
/// share, and all of them leave a quarter, one at least, to those who receive.
class lent_buffers {
public:
  static constexpr std::uint32_t shares = 16;

  /// `limits` as the backend tells them; a readiness backend has no buffers. False: no memory.
  bool open(const poller_limits& limits) noexcept {
    first_ = limits.buffers;
    stride_ = limits.buffer_stride;
    most_to_one_ = std::max(limits.buffer_count / shares, 1U);
    most_in_all_ =
        limits.buffer_count - std::clamp(limits.buffer_count / 4, 1U, limits.buffer_count);
    references_.reset(new (std::nothrow) std::uint32_t[limits.buffer_count]());
    return references_ != nullptr;
  }

  /// What a `received` event with a buffer has brought.
  std::span<std::byte> bytes(const event& e) const noexcept {
    return {first_ + std::size_t{e.buffer} * stride_, static_cast<std::size_t>(e.result)};
  }

  /// The backend has handed it over: the first reference.
  void lend(std::uint16_t buffer) noexcept {
    ++lent_;
    references_[buffer] = 1;
  }
  void refer(std::uint16_t buffer) noexcept { ++references_[buffer]; }
  /// A reference less. True: it was the last one, and the backend is to have it back.
  [[nodiscard]] bool release(std::uint16_t buffer) noexcept {
    if (--references_[buffer] != 0) return false;
    --lent_;
    return true;
  }

  /// Whether a connection that keeps `already` of them may keep one more.
  bool may_keep(std::uint32_t already) const noexcept {
    return already < most_to_one_ && lent_ <= most_in_all_;
  }

private:
  std::byte* first_ = nullptr;
  std::uint32_t stride_ = 0;
  std::uint32_t lent_ = 0;
  std::uint32_t most_to_one_ = 0;
  std::uint32_t most_in_all_ = 0;
  std::unique_ptr<std::uint32_t[]> references_;
};

}  // namespace hinge
