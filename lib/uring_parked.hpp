// Receives that wait for a buffer, first come, first served.
#pragma once

#include <hinge/event.hpp>
#include <hinge/raw_array.hpp>

#include <cstdint>

namespace hinge {

class parked_receives {
public:
  struct entry {
    token subject;
    int fd;
    std::uint8_t flags;  // of its change
  };

  /// Room for one of each connection. False: no memory.
  bool open(std::uint32_t connections) noexcept {
    capacity_ = connections;
    return entries_.open(connections);
  }
  bool empty() const noexcept { return count_ == 0; }
  void add(const entry& last) noexcept { entries_[place(count_++)] = last; }
  const entry& first() const noexcept { return entries_[first_]; }
  void drop_first() noexcept {
    first_ = place(1);
    --count_;
  }
  /// Linear: connections seldom end just here.
  void remove(token subject) noexcept {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < count_; ++i)
      if (entries_[place(i)].subject != subject) entries_[place(kept++)] = entries_[place(i)];
    count_ = kept;
  }

private:
  std::uint32_t place(std::uint32_t behind) const noexcept {
    const std::uint32_t at = first_ + behind;
    return at < capacity_ ? at : at - capacity_;
  }

  raw_array<entry> entries_;
  std::uint32_t capacity_ = 0;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace hinge
