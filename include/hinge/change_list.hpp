// The changes that go with a loop's next turn.
#pragma once

#include <hinge/event.hpp>
#include <hinge/raw_array.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hinge {

/// In order, and bounded. What can be put off asks for room; buffers to give back always find it,
/// each one being away but once.
class change_list {
public:
  /// Room for `most` changes and for `buffers` recycles besides. False: no memory.
  bool open(std::uint32_t most, std::uint32_t buffers) noexcept {
    most_ = most;
    early_ = most - most / 4;
    clear();
    return changes_.open(std::size_t{most} + buffers);
  }

  std::span<const change> all() const noexcept { return {changes_.data(), count_}; }
  std::uint32_t room() const noexcept {
    const std::uint32_t wanted = count_ - recycles_;
    return wanted < most_ ? most_ - wanted : 0;
  }
  void clear() noexcept {
    count_ = recycles_ = 0;
    early_left_ = early_;
  }

  /// Room has to be there.
  void add(const change& wanted) noexcept { changes_[count_++] = wanted; }
  /// While events are dispatched: the next place, or null, so that something is left for those that
  /// are listed.
  change* add_early() noexcept {
    if (early_left_ == 0) [[unlikely]]
      return nullptr;
    --early_left_;
    return &changes_[count_++];
  }
  /// Takes a send of `subject` back. False: there is none.
  bool take_back_send(token subject) noexcept {
    for (std::uint32_t i = count_; i-- != 0;) {
      if (changes_[i].what != operation::send || changes_[i].subject != subject) continue;
      std::copy(&changes_[i] + 1, changes_.data() + count_, &changes_[i]);
      --count_;
      ++early_left_;
      return true;
    }
    return false;
  }
  void recycle(std::uint16_t buffer) noexcept {
    ++recycles_;
    changes_[count_++] = {.buffer = buffer, .what = operation::recycle};
  }

private:
  raw_array<change> changes_;
  std::uint32_t count_ = 0;
  std::uint32_t recycles_ = 0;  // of these
  std::uint32_t early_ = 0;
  std::uint32_t early_left_ = 0;
  std::uint32_t most_ = 0;
};

}  // namespace hinge
