#include <hinge/connection_table.hpp>

namespace hinge {

bool connection_table::open(std::uint32_t capacity, instant start) noexcept {
  if (capacity > token::max_slots) return false;
  capacity_ = capacity;
  used_ = fresh_ = 0;
  free_head_ = no_slot;
  return hot_.open(capacity) && cold_.open(capacity) && deadlines_.open(capacity, start);
}

}  // namespace hinge
