// Bytes that wait: chains of segments, one chain a connection and direction, from one bounded pool
// a loop. A segment holds 4 KiB of its own, or refers to a received buffer of a completion backend.
#pragma once

#include <hinge/event.hpp>
#include <hinge/export.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct iovec;  // <sys/uio.h>

namespace hinge {

/// A chain's ends, kept in the connection's table entry.
struct segment_chain {
  static constexpr std::uint32_t none = 0xffffffff;
  std::uint32_t head = none;
  std::uint32_t tail = none;

  bool empty() const noexcept { return head == none; }
};

/// The pool. Two things are bounded: the bytes in all chains, and the memory for those that are
/// copied. It grows by slabs of 64 segments and never shrinks, so that a loop in steady state
/// allocates nothing. What only refers elsewhere takes no memory but its entry.
class segment_pool {
public:
  static constexpr std::uint32_t segment_bytes = 4096;
  static constexpr std::uint32_t slab_segments = 64;

  struct piece {
    const std::byte* data;
    std::uint32_t length;
    std::uint16_t buffer;  ///< the received buffer it lies in, or no_buffer
  };

  HINGE_API segment_pool() noexcept;
  HINGE_API ~segment_pool();
  segment_pool(const segment_pool&) = delete;
  segment_pool& operator=(const segment_pool&) = delete;

  /// `bytes`: most in all chains, and most memory for copies, rounded up to a slab (256 KiB). The
  /// first slab is had at once. `references`: most of them at one time, rounded up to 64. False: no
  /// memory.
  HINGE_API bool open(std::size_t bytes, std::uint32_t references) noexcept;

  /// Copies all of `bytes` to the chain's end, or nothing: false when the pool is exhausted.
  HINGE_API bool append(segment_chain& chain, std::span<const std::byte> bytes) noexcept;
  /// Puts a reference at the chain's end; `data` lies in received buffer `buffer`. False: over the
  /// bytes or the references; the bytes may have room as a copy.
  bool append_reference(segment_chain& chain, std::span<const std::byte> data,
                        std::uint16_t buffer) noexcept {
    const std::uint32_t index = free_reference_;
    if (index == segment_chain::none || data.size() > room_) return false;
    room_ -= data.size();
    segment& made = at(index);
    free_reference_ = made.next;
    made.length = static_cast<std::uint32_t>(data.size());
    made.data = data.data();
    made.buffer = buffer;
    link(chain, index);
    return true;
  }

  /// The first piece of a chain that is not empty.
  piece front(const segment_chain& chain) const noexcept {
    const segment& first = at(chain.head);
    return {first.data, first.length, first.buffer};
  }
  /// Most references at one time.
  std::uint32_t references() const noexcept { return first_own_; }
  /// Nothing is in any chain.
  bool empty() const noexcept { return room_ == most_; }
  /// True when the chain has one segment exactly.
  bool single(const segment_chain& chain) const noexcept { return chain.head == chain.tail; }
  /// Describes the chain's first pieces for sendmsg(2); returns how many were filled in.
  HINGE_API std::size_t gather(const segment_chain& chain, std::span<iovec> into) const noexcept;
  /// Drops `count` bytes from the front piece; returns its received buffer when that piece is done
  /// and had one, otherwise no_buffer.
  std::uint16_t consume_front(segment_chain& chain, std::uint32_t count) noexcept {
    segment& first = at(chain.head);
    room_ += count;
    first.data += count;
    first.length -= count;
    if (first.length != 0) return no_buffer;
    const std::uint32_t done = chain.head;
    chain.head = first.next;
    if (chain.empty()) chain.tail = segment_chain::none;
    if (first.buffer == no_buffer) {
      first.next = free_head_;
      free_head_ = done;
      ++free_count_;
    } else {
      first.next = free_reference_;
      free_reference_ = done;
    }
    return first.buffer;
  }

private:
  struct segment {
    std::uint32_t next;
    std::uint32_t length;
    const std::byte* data;
    std::uint16_t buffer;
  };
  struct slab {
    segment headers[slab_segments];
    std::byte bytes[slab_segments][segment_bytes];
  };

  segment& at(std::uint32_t index) const noexcept {
    return entries_[index / slab_segments][index % slab_segments];
  }
  std::byte* storage(std::uint32_t index) const noexcept {
    return slabs_[(index - first_own_) / slab_segments]->bytes[index % slab_segments];
  }
  /// Makes sure that `count` segments can be taken.
  bool reserve(std::uint32_t count) noexcept {
    return free_count_ + (slab_count_ * slab_segments - fresh_) >= count || grow(count);
  }
  HINGE_API bool grow(std::uint32_t count) noexcept;
  std::uint32_t take() noexcept {
    if (free_head_ == segment_chain::none) return first_own_ + fresh_++;
    const std::uint32_t index = free_head_;
    free_head_ = at(index).next;
    --free_count_;
    return index;
  }
  void link(segment_chain& chain, std::uint32_t index) noexcept {
    at(index).next = segment_chain::none;
    (chain.empty() ? chain.head : at(chain.tail).next) = index;
    chain.tail = index;
  }

  std::unique_ptr<segment*[]> entries_;  // those of references first, then each slab's
  std::unique_ptr<segment[]> references_;
  std::unique_ptr<std::unique_ptr<slab>[]> slabs_;
  std::size_t most_ = 0;
  std::size_t room_ = 0;  // bytes of `most_` that are in no chain
  std::uint32_t free_reference_ = segment_chain::none;
  std::uint32_t first_own_ = 0;
  std::uint32_t most_slabs_ = 0;
  std::uint32_t slab_count_ = 0;
  std::uint32_t fresh_ = 0;  // segments from here on were never used
  std::uint32_t free_head_ = segment_chain::none;
  std::uint32_t free_count_ = 0;
};

}  // namespace hinge
