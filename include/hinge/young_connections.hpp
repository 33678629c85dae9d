// Connections of the last moments.
#pragma once

#include <hinge/connection_table.hpp>
#include <hinge/raw_array.hpp>

#include <cstdint>

namespace hinge {

/// First in, first out, and bounded. Most connections of a busy server end within moments: what is
/// to be done only for those that live on is done when they leave this list. One that has ended
/// stays in it; its id is stale then.
class young_connections {
public:
  static constexpr std::uint32_t capacity = 4096;

  /// False: no memory.
  bool open() noexcept { return ids_.open(capacity); }
  bool empty() const noexcept { return first_ == end_; }
  bool full() const noexcept { return end_ - first_ == capacity; }

  void add(connection_id youngest) noexcept { ids_[end_++ % capacity] = youngest; }
  connection_id oldest() const noexcept { return ids_[first_ % capacity]; }
  void drop_oldest() noexcept { ++first_; }

private:
  raw_array<connection_id> ids_;
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace hinge
