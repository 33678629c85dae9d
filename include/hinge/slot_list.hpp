// Lists of table slots in which no slot stands twice: first-in-first-out, and last-in-first-out.
#pragma once

#include <hinge/raw_array.hpp>

#include <cstdint>

namespace hinge {

/// Bounded by the table's capacity, since the caller keeps a flag in each slot and adds only slots
/// whose flag was clear. The flag may outlive the connection: a slot listed by its last connection
/// is then served once for the next one, which finds nothing to do. O(1); memory 4 bytes a slot.
class slot_list {
public:
  /// False when memory is short.
  bool open(std::uint32_t capacity) noexcept {
    capacity_ = capacity;
    first_ = count_ = 0;
    return slots_.open(capacity);
  }

  bool empty() const noexcept { return count_ == 0; }
  std::uint32_t size() const noexcept { return count_; }

  void add(std::uint32_t slot) noexcept {
    const std::uint32_t end = first_ + count_++;
    slots_[end < capacity_ ? end : end - capacity_] = slot;
  }

  std::uint32_t take() noexcept {
    const std::uint32_t slot = slots_[first_];
    if (++first_ == capacity_) first_ = 0;
    --count_;
    return slot;
  }

private:
  raw_array<std::uint32_t> slots_;
  std::uint32_t capacity_ = 0;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

/// A stack of slots; what puts a slot in leaves a state in which it can't be put in again. O(1).
class slot_stack {
public:
  /// False when memory is short.
  bool open(std::uint32_t capacity) noexcept {
    count_ = 0;
    return slots_.open(capacity);
  }
  bool empty() const noexcept { return count_ == 0; }
  void add(std::uint32_t slot) noexcept { slots_[count_++] = slot; }
  std::uint32_t take() noexcept { return slots_[--count_]; }

private:
  raw_array<std::uint32_t> slots_;
  std::uint32_t count_ = 0;
};

}  // namespace hinge
