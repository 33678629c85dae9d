// Connections whose peer has ended, and that the application has not closed.
#pragma once

#include <hinge/connection_table.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/time.hpp>

#include <cstdint>

namespace hinge {

struct half_closed_connection {
  connection_id id;
  nanoseconds age;  ///< since the loop knew of the end
};

/// Slots in the order in which they were added: the oldest first. O(1); 16 bytes a slot, which are
/// touched only for those that are in it.
class half_closed_list {
public:
  static constexpr std::uint32_t none = connection_table::no_slot;

  /// False: no memory.
  bool open(std::uint32_t capacity) noexcept { return links_.open(capacity); }

  std::uint32_t size() const noexcept { return size_; }
  /// `none` when it is empty.
  std::uint32_t oldest() const noexcept { return oldest_; }
  /// When a slot that is in it was added.
  instant since(std::uint32_t slot) const noexcept { return links_[slot].since; }

  /// A slot that isn't in it.
  void add(std::uint32_t slot, instant now) noexcept {
    links_[slot] = {.since = now, .older = youngest_, .younger = none};
    (youngest_ == none ? oldest_ : links_[youngest_].younger) = slot;
    youngest_ = slot;
    ++size_;
  }
  /// A slot that is in it.
  void remove(std::uint32_t slot) noexcept {
    const link& gone = links_[slot];
    (gone.older == none ? oldest_ : links_[gone.older].younger) = gone.younger;
    (gone.younger == none ? youngest_ : links_[gone.younger].older) = gone.older;
    --size_;
  }

private:
  struct link {
    instant since;
    std::uint32_t older;
    std::uint32_t younger;
  };

  raw_array<link> links_;
  std::uint32_t oldest_ = none;
  std::uint32_t youngest_ = none;
  std::uint32_t size_ = 0;
};

}  // namespace hinge
