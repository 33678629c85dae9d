// Received bytes that outlive their on_data.
#pragma once

#include <hinge/loop_base.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace hinge {

/// What connection::keep() gives: bytes that stay where and what they are until this object goes or
/// is sent. On a completion backend they lie in the received buffer, within the connection's share
/// of those; everything else is a copy on the heap. The loop's thread; not longer than the loop
/// (in a handler or a payload: at most as long as these live).
class kept_bytes {
public:
  kept_bytes() noexcept = default;
  kept_bytes(kept_bytes&& other) noexcept { swap(other); }
  kept_bytes& operator=(kept_bytes&& other) noexcept {
    kept_bytes taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~kept_bytes() {
    if (loop_ != nullptr) drop();
  }

  /// False: nothing is kept.
  explicit operator bool() const noexcept { return loop_ != nullptr; }
  std::span<std::byte> bytes() const noexcept { return bytes_; }
  /// They lie in the received buffer; false: they were copied.
  bool in_place() const noexcept { return buffer_ != no_buffer; }

private:
  friend class connection;

  HINGE_API void drop() noexcept;
  void swap(kept_bytes& other) noexcept {
    std::swap(loop_, other.loop_);
    std::swap(owner_, other.owner_);
    std::swap(bytes_, other.bytes_);
    std::swap(buffer_, other.buffer_);
  }

  loop_base* loop_ = nullptr;
  connection_id owner_;  // whose share it is of
  std::span<std::byte> bytes_;
  std::uint16_t buffer_ = no_buffer;
};

}  // namespace hinge
