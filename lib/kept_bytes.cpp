#include <hinge/kept_bytes.hpp>

#include <hinge/connection.hpp>

#include <cstring>
#include <new>

namespace hinge {

void loop_base::give_back(connection_id id, std::uint16_t buffer) noexcept {
  if (hot_entry* const h = table_.find(id)) --h->lent;
  unreference(buffer);
}

void kept_bytes::drop() noexcept {
  if (in_place()) {
    loop_->give_back(owner_, buffer_);
  } else {
    delete[] bytes_.data();
  }
  loop_ = nullptr;
  bytes_ = {};
  buffer_ = no_buffer;
}

kept_bytes connection::keep(std::span<const std::byte> bytes) const noexcept {
  kept_bytes made;
  hot_entry* const h = loop_ != nullptr ? loop_->table_.find(id_) : nullptr;
  if (h == nullptr || bytes.empty()) return made;
  if (loop_->in_received(bytes) && loop_->buffers_.may_keep(h->lent)) {
    made.buffer_ = loop_->received_buffer_;
    made.bytes_ = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    loop_->lend_once_more(*h, made.buffer_);
  } else {
    std::byte* const copy = new (std::nothrow) std::byte[bytes.size()];
    if (copy == nullptr) return made;
    std::memcpy(copy, bytes.data(), bytes.size());
    made.bytes_ = {copy, bytes.size()};
  }
  made.loop_ = loop_;
  made.owner_ = id_;
  return made;
}

bool connection::send_kept(kept_bytes&& bytes) noexcept {
  if (loop_ == nullptr || !bytes) return false;
  if (!bytes.in_place() || bytes.loop_ != loop_) {
    if (!loop_->send(id_, bytes.bytes())) return false;
    bytes.drop();
    return true;
  }
  // For the queue they are bytes of the received buffer that is being looked at; and the share that
  // they take is this connection's from now on.
  const auto looked_at = std::exchange(loop_->received_, bytes.bytes_);
  const auto buffer = std::exchange(loop_->received_buffer_, bytes.buffer_);
  hot_entry* const owner = loop_->table_.find(bytes.owner_);
  if (owner != nullptr) --owner->lent;
  const bool taken = loop_->send(id_, bytes.bytes_);
  if (owner != nullptr) ++owner->lent;
  loop_->received_ = looked_at;
  loop_->received_buffer_ = buffer;
  if (taken) bytes.drop();
  return taken;
}

}  // namespace hinge
