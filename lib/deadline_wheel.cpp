#include <hinge/deadline_wheel.hpp>

#include <algorithm>
#include <bit>

namespace hinge {

static_assert(deadline_wheel::buckets == 64 * 64, "one summary word covers the occupancy bits");

bool deadline_wheel::open(std::uint32_t capacity, instant start) noexcept {
  heads_.fill(none);
  occupied_.fill(0);
  occupied_words_ = 0;
  cursor_ = 0;
  start_ = start;
  return links_.open(capacity) && bucket_of_.open(capacity);
}

// Rounded up: a slot never comes up before its moment.
std::int64_t deadline_wheel::tick_of(instant when) const noexcept {
  return (when - start_ + (instant{1} << tick_bits) - 1) >> tick_bits;
}

void deadline_wheel::arm(std::uint32_t slot, instant when, instant at) noexcept {
  // While nothing was armed, nobody moved the cursor.
  if (empty()) cursor_ = std::max(cursor_, (at - start_) >> tick_bits);
  place(slot, when);
}

void deadline_wheel::place(std::uint32_t slot, instant when) noexcept {
  const std::int64_t tick = std::clamp(tick_of(when), cursor_, cursor_ + buckets - 1);
  const auto bucket = static_cast<std::uint32_t>(tick) % buckets;
  const std::uint32_t head = heads_[bucket];
  links_[slot] = {.next = head, .previous = none};
  bucket_of_[slot] = static_cast<std::uint16_t>(bucket);
  heads_[bucket] = slot;
  if (head != none) {
    links_[head].previous = slot;
  } else {
    occupied_[bucket / 64] |= std::uint64_t{1} << bucket % 64;
    occupied_words_ |= std::uint64_t{1} << bucket / 64;
  }
}

void deadline_wheel::disarm(std::uint32_t slot) noexcept {
  const link here = links_[slot];
  if (here.next != none) links_[here.next].previous = here.previous;
  if (here.previous != none) {
    links_[here.previous].next = here.next;
    return;
  }
  const std::uint32_t bucket = bucket_of_[slot];
  heads_[bucket] = here.next;
  if (here.next != none) return;
  occupied_[bucket / 64] &= ~(std::uint64_t{1} << bucket % 64);
  if (occupied_[bucket / 64] == 0) occupied_words_ &= ~(std::uint64_t{1} << bucket / 64);
}

void deadline_wheel::arm_earlier(std::uint32_t slot, instant when) noexcept {
  const auto first = static_cast<std::uint32_t>(cursor_);
  const std::uint32_t stands = (bucket_of_[slot] - first) % buckets;
  if (tick_of(when) - cursor_ >= static_cast<std::int64_t>(stands)) return;
  disarm(slot);
  place(slot, when);
}

/// Ticks from the cursor to the first bucket with a slot; `buckets` when all are empty.
std::uint32_t deadline_wheel::distance_to_first() const noexcept {
  if (occupied_words_ == 0) return buckets;
  const std::uint32_t start = static_cast<std::uint32_t>(cursor_) % buckets;
  const std::uint32_t word = start / 64;
  // The cursor's own word twice: from the cursor's bit up first, and below that bit last.
  const std::uint64_t above = occupied_[word] >> start % 64;
  if (above != 0) return static_cast<std::uint32_t>(std::countr_zero(above));
  const int later = static_cast<int>((word + 1) % 64);
  const std::uint32_t skipped =
      static_cast<std::uint32_t>(std::countr_zero(std::rotr(occupied_words_, later)));
  const std::uint32_t found = (word + 1 + skipped) % 64;
  const std::uint32_t bucket =
      found * 64 + static_cast<std::uint32_t>(std::countr_zero(occupied_[found]));
  return (bucket - start) % buckets;
}

deadline deadline_wheel::next() const noexcept {
  const std::uint32_t distance = distance_to_first();
  if (distance == buckets) return deadline::never();
  return deadline::at(start_ + ((cursor_ + distance) << tick_bits));
}

std::uint32_t deadline_wheel::take_due(instant at) noexcept {
  const std::int64_t reached = (at - start_) >> tick_bits;
  const std::int64_t first = cursor_ + distance_to_first();
  if (empty() || first > reached) {
    cursor_ = std::max(cursor_, reached + 1);
    return none;
  }
  cursor_ = first;
  const std::uint32_t slot = heads_[static_cast<std::uint32_t>(cursor_) % buckets];
  disarm(slot);
  return slot;
}

}  // namespace hinge
