#include <hinge/segment_pool.hpp>

#include <hinge/event.hpp>

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace hinge {

struct segment_pool::slab {
  segment headers[slab_segments];
  std::byte bytes[slab_segments][segment_bytes];
};

segment_pool::segment_pool() noexcept = default;
segment_pool::~segment_pool() = default;

bool segment_pool::open(std::size_t bytes) noexcept {
  constexpr std::size_t slab_bytes = std::size_t{slab_segments} * segment_bytes;
  constexpr std::size_t most = segment_chain::none / slab_segments;
  most_slabs_ = static_cast<std::uint32_t>(std::min((bytes + slab_bytes - 1) / slab_bytes, most));
  slabs_.reset(new (std::nothrow) std::unique_ptr<slab>[most_slabs_]);
  return slabs_ != nullptr;
}

segment_pool::segment& segment_pool::at(std::uint32_t index) const noexcept {
  return slabs_[index / slab_segments]->headers[index % slab_segments];
}

std::byte* segment_pool::storage(std::uint32_t index) const noexcept {
  return slabs_[index / slab_segments]->bytes[index % slab_segments];
}

/// Makes sure that `count` segments can be taken.
bool segment_pool::reserve(std::uint32_t count) noexcept {
  while (free_count_ + (slab_count_ * slab_segments - fresh_) < count) {
    if (slab_count_ == most_slabs_) return false;
    slabs_[slab_count_].reset(new (std::nothrow) slab);
    if (!slabs_[slab_count_]) return false;
    ++slab_count_;
  }
  return true;
}

std::uint32_t segment_pool::take() noexcept {
  if (free_head_ == segment_chain::none) return fresh_++;
  const std::uint32_t index = free_head_;
  free_head_ = at(index).next;
  --free_count_;
  return index;
}

void segment_pool::link(segment_chain& chain, std::uint32_t index) noexcept {
  at(index).next = segment_chain::none;
  if (chain.empty()) {
    chain.head = index;
  } else {
    at(chain.tail).next = index;
  }
  chain.tail = index;
}

bool segment_pool::append(segment_chain& chain, std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return true;
  if (!chain.empty()) {
    segment& last = at(chain.tail);
    if (last.buffer == no_buffer) {
      std::byte* const own = storage(chain.tail);
      const auto end = static_cast<std::size_t>(last.data - own) + last.length;
      const std::size_t fits = std::min(bytes.size(), segment_bytes - end);
      const auto wanted = (bytes.size() - fits + segment_bytes - 1) / segment_bytes;
      if (!reserve(static_cast<std::uint32_t>(wanted))) return false;
      std::memcpy(own + end, bytes.data(), fits);
      last.length += static_cast<std::uint32_t>(fits);
      bytes = bytes.subspan(fits);
    }
  }
  const auto wanted = (bytes.size() + segment_bytes - 1) / segment_bytes;
  if (!reserve(static_cast<std::uint32_t>(wanted))) return false;
  while (!bytes.empty()) {
    const std::uint32_t index = take();
    const std::size_t length = std::min<std::size_t>(bytes.size(), segment_bytes);
    std::memcpy(storage(index), bytes.data(), length);
    segment& made = at(index);
    made.length = static_cast<std::uint32_t>(length);
    made.data = storage(index);
    made.buffer = no_buffer;
    link(chain, index);
    bytes = bytes.subspan(length);
  }
  return true;
}

bool segment_pool::append_reference(segment_chain& chain, std::span<const std::byte> data,
                                    std::uint16_t buffer) noexcept {
  if (!reserve(1)) return false;
  const std::uint32_t index = take();
  segment& made = at(index);
  made.length = static_cast<std::uint32_t>(data.size());
  made.data = data.data();
  made.buffer = buffer;
  link(chain, index);
  return true;
}

segment_pool::piece segment_pool::front(const segment_chain& chain) const noexcept {
  const segment& first = at(chain.head);
  return {first.data, first.length, first.buffer};
}

std::size_t segment_pool::gather(const segment_chain& chain, std::span<iovec> into) const noexcept {
  std::size_t count = 0;
  for (std::uint32_t index = chain.head; index != segment_chain::none && count < into.size();) {
    const segment& piece = at(index);
    into[count++] = {const_cast<std::byte*>(piece.data), piece.length};
    index = piece.next;
  }
  return count;
}

std::uint16_t segment_pool::consume_front(segment_chain& chain, std::uint32_t count) noexcept {
  segment& first = at(chain.head);
  first.data += count;
  first.length -= count;
  if (first.length != 0) return no_buffer;
  const std::uint32_t done = chain.head;
  chain.head = first.next;
  if (chain.empty()) chain.tail = segment_chain::none;
  first.next = free_head_;
  free_head_ = done;
  ++free_count_;
  return first.buffer;
}

}  // namespace hinge
