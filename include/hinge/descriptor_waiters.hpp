// Loops that ran out of descriptors and wait for one: the next close in this process wakes them.
#pragma once

#include <hinge/export.hpp>

#include <atomic>
#include <cstdint>

namespace hinge {

/// Process-wide and thread-safe. The closing side costs one relaxed load while nobody waits.
class descriptor_waiters {
public:
  using wake_function = void (*)(const void* waiter) noexcept;

  static bool any() noexcept { return count_.load(std::memory_order_relaxed) != 0; }
  /// Registers `waiter` until remove(); `wake` may be called from any thread. At most 1024 waiters:
  /// one more is not registered (it still has its back-off timer).
  HINGE_API static void add(const void* waiter, wake_function wake) noexcept;
  HINGE_API static void remove(const void* waiter) noexcept;
  /// Wakes all of them but `except`.
  HINGE_API static void notify(const void* except = nullptr) noexcept;

private:
  HINGE_API static std::atomic<std::uint32_t> count_;
};

}  // namespace hinge
