// A handle to a connection: what a handler is given, and may keep.
#pragma once

#include <hinge/kept_bytes.hpp>
#include <hinge/loop_base.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hinge {

/// A loop and a connection_id; 16 bytes, copied freely. Safe to keep and to use after the
/// connection has gone: every operation is then a counted no-op that returns false. The loop's
/// thread only.
///
/// No operation calls the handler: on_close comes after the running callback has returned.
class connection {
public:
  connection() noexcept = default;
  connection(loop_base& loop, connection_id id) noexcept : loop_(&loop), id_(id) {}

  connection_id id() const noexcept { return id_; }
  loop_base& loop() const noexcept { return *loop_; }
  /// Open for operations: neither closed nor draining.
  bool is_open() const noexcept {
    const hot_entry* const h = entry();
    return h != nullptr && h->state == connection_state::open;
  }

  /// Sends all of `bytes` in order, now or when the socket takes them. False: nothing was taken,
  /// because the connection has gone or is closing, or because its queue would pass its limit.
  bool send(std::span<const std::byte> bytes) noexcept {
    return loop_ != nullptr && loop_->send(id_, bytes);
  }
  /// Sends kept bytes, which are gone then, unless it returns false. On a completion
  /// backend they are not copied.
  HINGE_API bool send_kept(kept_bytes&& bytes) noexcept;
  /// Keeps bytes of the running on_data, which else live only until that returns. Empty when memory
  /// is short. Other bytes are copied.
  HINGE_API kept_bytes keep(std::span<const std::byte> bytes) const noexcept;
  /// The last reply: sends `bytes` and closes; on TCP data and FIN leave as one packet. What was
  /// said of unread bytes at close() holds here too.
  bool finish(std::span<const std::byte> bytes) noexcept {
    return loop_ != nullptr && loop_->send(id_, bytes, true);
  }
  /// Closes after what is queued has been sent, within drain_timeout. Bytes that the peer sent and
  /// nobody read turn the close into a reset (RFC 2525, 2.17): use shutdown_write() and wait for
  /// on_end where that can happen.
  bool close() noexcept { return loop_ != nullptr && loop_->close(id_); }
  /// Resets: queued and unread bytes are destroyed on both sides, and what is on its way may be.
  /// What the socket takes has gone before, also what was sent in the same callback. A last reply
  /// that has gone has ended the connection: false.
  bool abort() noexcept { return loop_ != nullptr && loop_->abort(id_); }
  /// Ends this side after what is queued; the peer may go on sending. When the peer has ended too,
  /// the connection is closed by itself.
  bool shutdown_write() noexcept { return loop_ != nullptr && loop_->shutdown_write(id_); }
  /// No on_data until resume_reading(), so that the peer's sender is slowed down. Calls don't nest.
  /// The timeouts go on: a pause longer than idle_timeout ends the connection.
  bool pause_reading() noexcept { return loop_ != nullptr && loop_->pause_reading(id_, true); }
  bool resume_reading() noexcept { return loop_ != nullptr && loop_->pause_reading(id_, false); }

  // What follows is zero or empty when the connection has gone; all but fd() is still there in
  // on_close.
  /// What was sent and the socket hasn't taken. On a completion backend also what goes with the
  /// next turn: up to 4 KiB, or what lies in the received buffer. No queue passes queue_high_bytes,
  /// nor is a send refused, while the socket would take more; but for the moment in which a turn's
  /// sends have gone and not all been answered.
  std::uint32_t queued_bytes() const noexcept { return entry() != nullptr ? entry()->queued : 0; }
  std::uint64_t bytes_in() const noexcept { return entry() != nullptr ? entry()->bytes_in : 0; }
  std::uint64_t bytes_out() const noexcept { return entry() != nullptr ? entry()->bytes_out : 0; }
  /// The peer has ended its side, and on_end has told so.
  bool peer_ended() const noexcept {
    return entry() != nullptr && entry()->has(connection_flag::peer_ended);
  }
  /// Index of the listener that accepted it.
  std::size_t listener() const noexcept { return entry() != nullptr ? entry()->listener : 0; }
  instant opened() const noexcept {
    return entry() != nullptr ? loop_->table_.cold(id_.slot).opened : 0;
  }
  instant last_activity() const noexcept { return entry() != nullptr ? entry()->last_activity : 0; }
  /// As accept(2) gave it; where the backend can't give one, asked by getpeername(2), once. That
  /// fails after a reset, and in on_close, which a completion backend's close may have preceded:
  /// then family::none. What was asked for before stays known; of a Unix peer the family alone.
  HINGE_API address peer() const noexcept;
  /// Borrowed; for socket options. Don't close it, and don't read from or write to it. -1 when it
  /// isn't open any more, also in on_close: a completion backend closes it with the last reply.
  int fd() const noexcept { return is_open() ? entry()->fd : -1; }

  /// The handler's own data of this connection (Handler::payload). Valid from on_accept to the end
  /// of on_close; undefined on a connection that has gone, or with another type than the handler's.
  template <class Payload>
  Payload& payload() const noexcept {
    assert(loop_->payload_bytes_ == sizeof(Payload));
    return static_cast<Payload*>(loop_->payloads_)[id_.slot];
  }

  friend bool operator==(const connection&, const connection&) noexcept = default;

private:
  const hot_entry* entry() const noexcept {
    const hot_entry* const h = loop_ != nullptr ? loop_->table_.find(id_) : nullptr;
    return h != nullptr && h->state != connection_state::detaching ? h : nullptr;
  }

  loop_base* loop_ = nullptr;
  connection_id id_;
};

}  // namespace hinge
