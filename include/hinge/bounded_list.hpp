// A list of which the greatest length is known: its memory is asked for once, and its elements stay
// where they are.
#pragma once

#include <hinge/raw_array.hpp>

#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace hinge {

template <class T>
class bounded_list {
public:
  bounded_list() noexcept = default;
  bounded_list(const bounded_list&) = delete;
  bounded_list& operator=(const bounded_list&) = delete;
  ~bounded_list() { std::destroy_n(memory_.data(), size_); }

  /// Room for so many; once, while it is empty. False when memory is short.
  bool open(std::size_t capacity) noexcept {
    capacity_ = capacity;
    return memory_.open(capacity);
  }
  /// There is room.
  T& push_back(T&& added) noexcept {
    assert(size_ < capacity_);
    return *new (static_cast<void*>(memory_.data() + size_++)) T(std::move(added));
  }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t index) noexcept { return memory_[index]; }
  const T& operator[](std::size_t index) const noexcept { return memory_[index]; }
  T* begin() noexcept { return memory_.data(); }
  T* end() noexcept { return memory_.data() + size_; }
  const T* begin() const noexcept { return memory_.data(); }
  const T* end() const noexcept { return memory_.data() + size_; }

private:
  raw_array<T> memory_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace hinge
