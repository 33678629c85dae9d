#include <hinge/segment_pool.hpp>

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace hinge {

segment_pool::segment_pool() noexcept = default;
segment_pool::~segment_pool() = default;

bool segment_pool::open(std::size_t bytes, std::uint32_t references) noexcept {
  constexpr std::size_t slab_bytes = std::size_t{slab_segments} * segment_bytes;
  const std::uint32_t shared = (references + slab_segments - 1) / slab_segments;
  const std::size_t most = segment_chain::none / slab_segments - shared;
  most_slabs_ = static_cast<std::uint32_t>(std::min((bytes + slab_bytes - 1) / slab_bytes, most));
  most_ = room_ = most_slabs_ * slab_bytes;
  first_own_ = shared * slab_segments;
  entries_.reset(new (std::nothrow) segment*[shared + most_slabs_]);
  references_.reset(new (std::nothrow) segment[first_own_]);
  slabs_.reset(new (std::nothrow) std::unique_ptr<slab>[most_slabs_]);
  if (!entries_ || !references_) return false;
  for (std::uint32_t i = 0; i < shared; ++i) entries_[i] = &references_[i * slab_segments];
  for (std::uint32_t i = first_own_; i-- != 0; free_reference_ = i)
    references_[i].next = free_reference_;
  // The first replies must not depend on what memory there is by then.
  return slabs_ != nullptr && (most_slabs_ == 0 || grow(1));
}

bool segment_pool::grow(std::uint32_t count) noexcept {
  while (free_count_ + (slab_count_ * slab_segments - fresh_) < count) {
    if (slab_count_ == most_slabs_) return false;
    slabs_[slab_count_].reset(new (std::nothrow) slab);
    if (!slabs_[slab_count_]) return false;
    entries_[first_own_ / slab_segments + slab_count_] = slabs_[slab_count_]->headers;
    ++slab_count_;
  }
  return true;
}

bool segment_pool::append(segment_chain& chain, std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return true;
  if (bytes.size() > room_) return false;
  const std::size_t all = bytes.size();
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
  room_ -= all;
  return true;
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

}  // namespace hinge
