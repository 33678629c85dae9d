// Every connection of a loop: identity, state, peer, times, bytes, deadline. Everything is O(1),
// the capacity is fixed at open, and an idle connection costs at most 128 bytes (payload not
// counted).
#pragma once

#include <hinge/address.hpp>
#include <hinge/close_cause.hpp>
#include <hinge/deadline_wheel.hpp>
#include <hinge/event.hpp>
#include <hinge/export.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/segment_pool.hpp>
#include <hinge/time.hpp>

#include <cstddef>
#include <cstdint>

namespace hinge {

/// Names a connection for ever: a slot and the slot's generation. Safe to keep after the connection
/// has gone: it then names nothing.
struct connection_id {
  std::uint32_t slot = 0xffffffff;
  std::uint32_t generation = 0;

  friend bool operator==(connection_id, connection_id) noexcept = default;
};

enum class connection_state : std::uint8_t {
  free,
  open,
  draining,   ///< close asked; queued bytes still go out
  ending,     ///< to be closed when the handler returns
  detaching,  ///< closed for the handler; a completion backend still holds operations on it
};

/// Bits of hot_entry::flags.
namespace connection_flag {
inline constexpr std::uint32_t attached = 1U << 0;  ///< readiness: registered
inline constexpr std::uint32_t deadline_armed = 1U << 1;
inline constexpr std::uint32_t grown = 1U << 2;        ///< no longer a young connection
inline constexpr std::uint32_t peer_ended = 1U << 3;   ///< the peer's FIN was read
inline constexpr std::uint32_t end_unread = 1U << 4;   ///< the peer ended, not read yet
inline constexpr std::uint32_t shut_wanted = 1U << 5;  ///< shutdown_write() on an empty queue
inline constexpr std::uint32_t shut_done = 1U << 6;
inline constexpr std::uint32_t above_high = 1U << 7;      ///< reading pauses: too much is queued
inline constexpr std::uint32_t user_paused = 1U << 8;     ///< reading pauses: the handler asked
inline constexpr std::uint32_t unread = 1U << 9;          ///< something may be there to read
inline constexpr std::uint32_t unsent = 1U << 10;         ///< the socket may take more of the queue
inline constexpr std::uint32_t reset = 1U << 11;          ///< the close is to be a reset
inline constexpr std::uint32_t has_queue = 1U << 12;      ///< something may be queued or held
inline constexpr std::uint32_t partial_reads = 1U << 13;  ///< a short read may leave bytes behind
/// Readiness: the peer has gone, as an event said; a read may say no more than that it has ended.
inline constexpr std::uint32_t gone_told = 1U << 21;
inline constexpr std::uint32_t counted = 1U << 22;      ///< its listener or its source counts it
inline constexpr std::uint32_t pending = 1U << 23;      ///< counted, and without its first byte
inline constexpr std::uint32_t half_closed = 1U << 24;  ///< in the list of these
inline constexpr std::uint32_t half_closed_told = 1U << 25;
/// The socket was full, and a send is to wait; of completion backends, and of those that are asked.
inline constexpr std::uint32_t stuck = 1U << 18;
// Of completion backends:
inline constexpr std::uint32_t receiving = 1U << 14;  ///< a receive is armed
inline constexpr std::uint32_t stopping = 1U << 15;   ///< stop_receive was sent
inline constexpr std::uint32_t sending = 1U << 16;    ///< a send is under way
inline constexpr std::uint32_t detach_asked = 1U << 17;
inline constexpr std::uint32_t closing = 1U << 19;  ///< the send under way closes, too
/// With `receiving`: what is armed takes no bytes (change::watch).
inline constexpr std::uint32_t watching = 1U << 20;
inline constexpr std::uint32_t end_seen = 1U << 26;  ///< the peer ended, as a watch has told
// These two say that the slot stands in a list, and outlive the connection.
inline constexpr std::uint32_t listed_ready = 1U << 30;
inline constexpr std::uint32_t listed_changed = 1U << 31;
inline constexpr std::uint32_t listed = listed_ready | listed_changed;
inline constexpr std::uint32_t paused = above_high | user_paused;
inline constexpr std::uint32_t deaf = paused | peer_ended;  ///< nothing is read
/// Any of these makes the end of a connection more than a close(2).
inline constexpr std::uint32_t eventful =
    deadline_armed | reset | has_queue | receiving | sending | counted | half_closed;
}  // namespace connection_flag

/// What each event touches: one cache line.
struct alignas(64) hot_entry {
  std::int32_t fd;
  std::uint32_t generation;
  std::uint32_t flags;
  connection_state state;
  close_cause cause;
  std::uint16_t listener;
  std::uint32_t queued;  ///< bytes in `out`
  segment_chain out;     ///< bytes to send; `out.head` is the free list's link in a free slot
  segment_chain held;    ///< completion: received while reading was paused
  std::uint32_t lent;    ///< completion: received buffers that these two refer to
  std::uint64_t bytes_in;
  std::uint64_t bytes_out;
  instant last_activity;

  bool has(std::uint32_t bits) const noexcept { return (flags & bits) != 0; }
  void set(std::uint32_t bits) noexcept { flags |= bits; }
  void clear(std::uint32_t bits) noexcept { flags &= ~bits; }
  /// What it is when the handler ends it.
  close_cause local_end() const noexcept {
    return has(connection_flag::peer_ended) ? close_cause::peer_closed : close_cause::local_close;
  }
};
static_assert(sizeof(hot_entry) == 64);

/// What is written at the start and read rarely.
struct cold_entry {
  instant opened;
  instant since;  ///< with queued bytes: their last progress; draining: when that began
  inet_name peer;

  /// Readiness: before the first read. On Unix sockets a receive stops early at passed descriptors,
  /// so that there a short one proves nothing.
  std::uint32_t first_read_flags() const noexcept {
    const bool inet = peer.family == family::ipv4 || peer.family == family::ipv6;
    return connection_flag::unread | (inet ? 0 : connection_flag::partial_reads);
  }
};
static_assert(sizeof(cold_entry) == 40);

/// Of each connection, with its deadline and its places in three lists (loop_base.hpp).
static_assert(sizeof(hot_entry) + sizeof(cold_entry) + deadline_wheel::bytes_per_slot +
                  3 * sizeof(std::uint32_t) <=
              128);

class connection_table {
public:
  static constexpr std::uint32_t no_slot = 0xffffffff;

  /// False: no memory. `capacity` is at most token::max_slots.
  HINGE_API bool open(std::uint32_t capacity, instant start) noexcept;

  std::uint32_t capacity() const noexcept { return capacity_; }
  std::uint32_t size() const noexcept { return used_; }
  std::uint32_t available() const noexcept { return capacity_ - used_; }
  /// Slots that were ever used stand below this one; for walking over all connections.
  std::uint32_t touched() const noexcept { return fresh_; }

  /// Takes a slot, in state open; the caller has seen that one is available. O(1).
  std::uint32_t insert(int fd, std::uint16_t listener, const inet_name& peer, instant at) noexcept {
    std::uint32_t slot = free_head_;
    if (slot != no_slot) {
      free_head_ = hot_[slot].out.head;
    } else {
      slot = fresh_++;
      hot_[slot].generation = 1;
      hot_[slot].flags = 0;
    }
    ++used_;
    hot_entry& h = hot_[slot];
    h.fd = fd;
    h.flags &= connection_flag::listed;
    h.state = connection_state::open;
    h.cause = close_cause::none;
    h.listener = listener;
    h.queued = 0;
    h.out = {};
    h.held = {};
    h.lent = 0;
    h.bytes_in = 0;
    h.bytes_out = 0;
    h.last_activity = at;
    cold_entry& c = cold_[slot];
    c.opened = at;
    c.peer = peer;
    return slot;
  }

  /// Gives the slot back; every id and token of it is stale from here on. O(1).
  void erase(std::uint32_t slot) noexcept {
    hot_entry& h = hot_[slot];
    h.state = connection_state::free;
    ++h.generation;
    h.out.head = free_head_;
    free_head_ = slot;
    --used_;
  }

  hot_entry& hot(std::uint32_t slot) noexcept { return hot_[slot]; }
  const hot_entry& hot(std::uint32_t slot) const noexcept { return hot_[slot]; }
  cold_entry& cold(std::uint32_t slot) noexcept { return cold_[slot]; }
  const cold_entry& cold(std::uint32_t slot) const noexcept { return cold_[slot]; }

  connection_id id(std::uint32_t slot) const noexcept { return {slot, hot_[slot].generation}; }
  token token_of(std::uint32_t slot) const noexcept {
    return {role::connection, slot, hot_[slot].generation};
  }

  /// The entry that `id` names, or null when that connection has gone.
  hot_entry* find(connection_id id) noexcept {
    if (id.slot >= fresh_) return nullptr;
    hot_entry& h = hot_[id.slot];
    return h.generation == id.generation && h.state != connection_state::free ? &h : nullptr;
  }
  /// The same, if it also is in that state.
  hot_entry* find(connection_id id, connection_state state) noexcept {
    if (id.slot >= fresh_) return nullptr;
    hot_entry& h = hot_[id.slot];
    return h.generation == id.generation && h.state == state ? &h : nullptr;
  }
  const hot_entry* find(connection_id id) const noexcept {
    return const_cast<connection_table*>(this)->find(id);
  }

  deadline_wheel& deadlines() noexcept { return deadlines_; }
  const deadline_wheel& deadlines() const noexcept { return deadlines_; }

private:
  raw_array<hot_entry> hot_;
  raw_array<cold_entry> cold_;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t fresh_ = 0;  // slots from here on were never used, nor their memory touched
  std::uint32_t free_head_ = no_slot;
  deadline_wheel deadlines_;
};

}  // namespace hinge
