// All of a loop that doesn't depend on its poller's or its handler's type: the table, the queues,
// the listeners, and what the operations of a connection do. One thread owns it.
// docs/ARCHITECTURE.md, section 4, tells how work flows.
#pragma once

#include <hinge/change_list.hpp>
#include <hinge/connection_inbox.hpp>
#include <hinge/connection_table.hpp>
#include <hinge/descriptor_waiters.hpp>
#include <hinge/door_table.hpp>
#include <hinge/export.hpp>
#include <hinge/half_closed_list.hpp>
#include <hinge/lent_buffers.hpp>
#include <hinge/listener.hpp>
#include <hinge/loop_counters.hpp>
#include <hinge/loop_options.hpp>
#include <hinge/mailbox.hpp>
#include <hinge/probe.hpp>
#include <hinge/slot_list.hpp>
#include <hinge/socket.hpp>
#include <hinge/young_connections.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>

namespace hinge {
class connection;

class loop_base {
public:
  static constexpr std::size_t max_listeners = door_table::most;
  loop_base(const loop_base&) = delete;
  loop_base& operator=(const loop_base&) = delete;

  /// Takes the listener, or opens one, and accepts on it from the next turn on. Returns its index,
  /// which connections carry. Errors: ENOSPC over max_listeners; EINVAL before open(). The loop's
  /// thread, or before run().
  HINGE_API result<std::size_t> listen(listener opened) noexcept;
  HINGE_API result<std::size_t> listen(const address& where,
                                       const listener_options& options = {}) noexcept;
  /// Whom that listener lets in, from the next connection on. The loop's thread, or before run().
  HINGE_API void set_door(std::size_t index, const door_options& options) noexcept;
  /// listener::set_path_file() of that one. The loop's thread, or before run().
  HINGE_API void set_path_file(std::size_t index, const path_identity& file) noexcept;
  /// What it has to do with another loop's accepting. Before run().
  HINGE_API void take_part(const handover& in) noexcept;
  /// In place of accepts_per_turn, up to that; 0: the listeners pause. The loop's thread.
  HINGE_API void accept_at_most(std::uint32_t connections) noexcept;
  /// That listener accepts no more, and is closed soon; hinge/retirement.hpp loses nobody by it.
  HINGE_API void close_listener(std::size_t index, door_exit how) noexcept;
  std::size_t listeners() const noexcept { return doors_.size(); }
  /// That listener; it stays there, closed, after it has died or the loop has stopped.
  const listener& listener_at(std::size_t index) const noexcept { return doors_[index].socket(); }
  /// How its accepting goes, whom it lets in, and its counted connections.
  const door& door_at(std::size_t index) const noexcept { return doors_[index]; }

  /// Runs `task` in the loop's thread, in its next turn; tasks of one thread run in order. Any
  /// thread. Ends the process when memory is short.
  HINGE_API void post(mailbox::function task) noexcept;
  /// Makes the running or the next turn return early. Any thread, and signal handlers.
  void wake() const noexcept {
    if (wake_ != nullptr) wake_(poller_);
  }

  /// Everything is closed at once, with cause `drain`, and run() returns. The loop's thread.
  HINGE_API void stop() noexcept;

  const loop_options& options() const noexcept { return options_; }
  const loop_counters& counters() const noexcept { return counters_; }
  const connection_table& table() const noexcept { return table_; }
  /// The clock as it stood when the turn's wait was over.
  instant now() const noexcept { return now_; }
  /// Connections that a handler has seen and that have not ended.
  std::uint32_t open_connections() const noexcept { return table_.size() - detaching_; }
  /// Of these, those whose peer has ended, as on_end told or could not (see on_half_closed), and
  /// that were neither closed nor shut down since; and which of them is so longest.
  std::uint32_t half_closed() const noexcept { return half_closed_.size(); }
  HINGE_API std::optional<half_closed_connection> oldest_half_closed() const noexcept;
  bool stopping() const noexcept { return stopping_; }
  /// Connections are to end soon: since wind_down(), or because it stops.
  bool winding_down() const noexcept { return winding_down_ || stopping_; }
  /// Stopped, and nothing is left.
  bool finished() const noexcept { return emptied() && (!completes_ || changes_.all().empty()); }

protected:
  HINGE_API loop_base() noexcept;
  HINGE_API ~loop_base();

  HINGE_API result<void> open_base(const loop_options& options, const poller_limits& limits,
                                   bool completes, const void* poller,
                                   void (*wake)(const void*) noexcept) noexcept;
  bool emptied() const noexcept {
    return stopping_ && table_.size() == 0 && doors_.detaching() == 0;
  }

  // --- before and after a turn -------------------------------------------------------------
  /// Fills in the terms of the next turn and returns the changes to go with it.
  std::span<const change> prepare(turn_terms& terms, deadline until, bool completes) noexcept;
  HINGE_API std::span<const change> prepare_slowly(turn_terms& terms) noexcept;
  void measure_work() noexcept;
  HINGE_API void emit_changes() noexcept;
  void emit_completion_changes(std::uint32_t slot, hot_entry& h) noexcept;
  HINGE_API void arm_doors(bool room) noexcept;
  [[gnu::always_inline]] deadline next_timer() const noexcept {
    const deadline young = deadline::after(young_until_, nanoseconds(young_slack_));
    return table_.deadlines().empty() ? young : std::min(young, table_.deadlines().next());
  }
  bool timer_due() const noexcept {
    return now_ >= young_until_ || table_.deadlines().may_be_due(now_);
  }
  HINGE_API deadline next_wake_up() const noexcept;

  // --- doors ---------------------------------------------------------------------------------
  result<void> expect_listeners(std::size_t more, family of) noexcept;
  /// An accept that failed, or `arming` did.
  HINGE_API door_failure accept_failed(std::size_t index, int code, bool arming) noexcept;
  void door_ended(std::size_t index) noexcept {
    doors_.ended(index);
    attention_ = true;
  }
  HINGE_API void doors_moved() noexcept;
  void shed(std::size_t index, int fd) noexcept;
  HINGE_API std::uint32_t admit(std::size_t index, int fd, inet_name peer) noexcept;
  std::uint32_t give_away(door& d, std::size_t index, int fd, inet_name peer) noexcept;
  void left(std::uint32_t slot) noexcept;
  HINGE_API bool spoke(hot_entry& h) noexcept;
  HINGE_API int receive_first(hot_entry& h, std::span<std::byte> into) noexcept;
  HINGE_API void descriptor_freed_slowly() noexcept;
  HINGE_API static void descriptor_freed_elsewhere(const void* self) noexcept;
  HINGE_API void close_doors() noexcept;
  HINGE_API void door_detached(std::size_t index) noexcept;
  HINGE_API std::uint32_t next_handed(std::uint32_t& queued) noexcept;
  void descriptor_freed() noexcept {
    if (descriptor_waiters::any()) [[unlikely]]
      descriptor_freed_slowly();
  }

  // --- connections ---------------------------------------------------------------------------
  void doom(std::uint32_t slot, close_cause cause) noexcept {
    hot_entry& h = table_.hot(slot);
    if (h.state != connection_state::open && h.state != connection_state::draining) return;
    h.state = connection_state::ending;
    h.cause = cause;
    ending_.add(slot);
  }
  void fail_connection(std::uint32_t slot, int code) noexcept {
    doom(slot, sockets::peer_gone(code) ? close_cause::peer_reset : close_cause::error);
  }
  /// The socket has an error pending, or had one: SO_ERROR's, or `told` when that is 0.
  HINGE_API void fail_broken(std::uint32_t slot, int told) noexcept;
  /// After on_close: the descriptor is closed and the slot free, or soon will be.
  void release(std::uint32_t slot, bool completes) noexcept;
  HINGE_API void release_slowly(std::uint32_t slot) noexcept;
  /// True: its last bytes have gone, and what is left is to tell of its end.
  HINGE_API bool slot_detached(std::uint32_t slot, std::int32_t result) noexcept;
  void close_slot(std::uint32_t slot) noexcept;
  void close_descriptor(int fd, bool completes) noexcept;
  HINGE_API void abandon() noexcept;

  void list_ready(std::uint32_t slot, hot_entry& h) noexcept {
    if (h.has(connection_flag::listed_ready)) return;
    h.set(connection_flag::listed_ready);
    ready_.add(slot);
    attention_ = true;
  }
  void list_changed(std::uint32_t slot, hot_entry& h) noexcept {
    if (h.has(connection_flag::listed_changed)) return;
    h.set(connection_flag::listed_changed);
    changed_.add(slot);
    attention_ = true;
  }
  void receive_soon(std::uint32_t slot, hot_entry& h) noexcept;
  /// Completion: most connections live for one message, and nothing is to be cancelled then.
  change receive_change(std::uint32_t slot, const hot_entry& h) const noexcept {
    return {.subject = table_.token_of(slot),
            .fd = h.fd,
            .what = operation::receive,
            .flags = h.bytes_in == 0 ? change::once : std::uint8_t{0}};
  }
  /// No receive is armed: asks for one, unless the last bytes are on their way.
  void receive_again(std::uint32_t slot, hot_entry& h) noexcept {
    if (h.state == connection_state::open) {
      receive_soon(slot, h);
    } else if (h.state == connection_state::draining) {
      list_changed(slot, h);
    }
  }
  /// A connection has outlived its first turn: from here on it has deadlines.
  void begin_young(connection_id id) noexcept;
  HINGE_API void end_young() noexcept;
  void arm_deadline(std::uint32_t slot) noexcept;
  /// Looks at the next slot that came up, if `any`; on_half_closed is owed to `overdue`.
  struct expired {
    bool any = false;
    std::uint32_t overdue = connection_table::no_slot;
  };
  HINGE_API expired expire_one() noexcept;
  HINGE_API void half_close(std::uint32_t slot) noexcept;
  void no_longer_half_closed(std::uint32_t slot, hot_entry& h) noexcept;
  struct expiry;
  expiry next_expiry(std::uint32_t slot) const noexcept;
  void deadline_moved(std::uint32_t slot, nanoseconds timeout) noexcept;

  /// Sends what is queued, as far as the socket takes it. True: on_writable is owed.
  HINGE_API bool flush(std::uint32_t slot) noexcept;
  /// Completion: the backend has sent `count` bytes. True: on_writable is owed.
  HINGE_API bool sent(std::uint32_t slot, std::int32_t result) noexcept;
  void consume(hot_entry& h, std::uint32_t count) noexcept;
  void count_out(hot_entry& h, std::uint32_t count) noexcept {
    h.bytes_out += count;
    counters_.bytes_out += count;
  }
  void count_in(hot_entry& h, std::uint32_t count) noexcept {
    h.bytes_in += count;
    counters_.bytes_in += count;
  }
  bool after_progress(std::uint32_t slot) noexcept;
  /// The socket has taken all at once, with nothing queued before.
  void sent_whole(std::uint32_t slot, hot_entry& h, std::size_t count, bool last) noexcept {
    count_out(h, static_cast<std::uint32_t>(count));
    last ? doom(slot, h.local_end()) : void(h.last_activity = now_);
  }

  /// Completion: a reference less to a received buffer; the last one gives it back.
  void unreference(std::uint16_t buffer) noexcept {
    if (buffers_.release(buffer)) changes_.recycle(buffer);
  }
  HINGE_API void stale(const event& e) noexcept;
  /// Readiness: an event said that there is an error. True: the connection's end, nobody will read.
  HINGE_API bool error_told(std::uint32_t slot, std::int32_t hints) noexcept;
  /// Readiness: so many bytes were read after an event that announced some.
  HINGE_API void read_of(std::uint32_t slot, std::uint64_t bytes, std::uint16_t announced) noexcept;
  HINGE_API bool hides_bytes(std::uint32_t slot) noexcept;
  HINGE_API segment_pool::piece take_held(hot_entry& h) noexcept;
  /// A change failed as if not asked for: a detach (nothing is held), or -EAGAIN: asked again.
  HINGE_API bool failure_passes(const event& e) noexcept;
  bool ask_again(const event& e, operation failed) noexcept;
  HINGE_API void drop_chain(hot_entry& h, segment_chain& chain) noexcept;
  /// A segment is done; it may have referred to a received buffer.
  void give_back(hot_entry& h, std::uint16_t buffer) noexcept {
    if (buffer == no_buffer) return;
    --h.lent;
    unreference(buffer);
  }
  void give_back(connection_id id, std::uint16_t buffer) noexcept;
  void lend_once_more(hot_entry& h, std::uint16_t buffer) noexcept {
    buffers_.refer(buffer);
    ++h.lent;
  }
  /// Completion: whether `bytes` lie in the received buffer that on_data is looking at.
  bool in_received(std::span<const std::byte> bytes) const noexcept {
    const auto address = [](const std::byte* of) { return reinterpret_cast<std::uintptr_t>(of); };
    const std::uintptr_t before = address(bytes.data()) - address(received_.data());
    return bytes.size() <= received_.size() && before <= received_.size() - bytes.size() &&
           !bytes.empty();
  }
  /// Completion: whether `bytes` can be queued where they were received.
  bool stays_received(const hot_entry& h, std::span<const std::byte> bytes) const noexcept {
    return in_received(bytes) && buffers_.may_keep(h.lent);
  }
  /// Completion: bytes not for the handler, an end, or an error. True: an end to tell it of.
  HINGE_API bool received_unusually(std::uint32_t slot, const event& e) noexcept;
  void hold(std::uint32_t slot, std::span<std::byte> bytes, std::uint16_t buffer) noexcept;

  // --- what connection does; each false when the id is stale or the state forbids it -----------
  friend class connection;
  friend class kept_bytes;
  friend class retirement;
  friend class server_base;
  friend class telemetry;
  bool send(connection_id id, std::span<const std::byte> bytes, bool last = false) noexcept;
  /// Queues what a send that returned `taken` has left of `bytes`.
  HINGE_API bool enqueue(std::uint32_t slot, std::span<const std::byte> bytes, int taken,
                         bool last) noexcept;
  bool append(std::uint32_t slot, std::span<const std::byte> bytes, int taken) noexcept;
  bool append_out(hot_entry& h, std::span<const std::byte> bytes) noexcept;
  bool close(connection_id id) noexcept;
  HINGE_API void begin_drain(std::uint32_t slot) noexcept;
  void take_back_send(std::uint32_t slot, hot_entry& h) noexcept;
  bool send_last_soon(std::uint32_t slot, hot_entry& h) noexcept;
  HINGE_API bool send_completing(std::uint32_t slot, std::span<const std::byte> bytes,
                                 bool last) noexcept;
  bool send_or_queue(std::uint32_t slot, std::span<const std::byte> bytes, bool last) noexcept;
  int send_now(std::uint32_t slot, std::span<const std::byte> bytes, bool last) noexcept;
  void send_queued(std::uint32_t slot) noexcept;
  void send_soon(std::uint32_t slot, hot_entry& h, std::span<const std::byte> only,
                 std::uint8_t flags) noexcept;
  HINGE_API bool abort(connection_id id) noexcept;
  HINGE_API bool shutdown_write(connection_id id) noexcept;
  HINGE_API bool pause_reading(connection_id id, bool pause) noexcept;
  void shut_if_wanted(std::uint32_t slot, hot_entry& h) noexcept;
  hot_entry* open_entry(connection_id id) noexcept {
    assert(in_loop_thread());
    hot_entry* const h = table_.find(id);
    if (h != nullptr && h->state == connection_state::open) [[likely]]
      return h;
    refused(h);
    return nullptr;
  }
  /// An operation on an entry that isn't open: stale only when the connection has gone.
  void refused(const hot_entry* h) noexcept {
    if (h == nullptr || h->state == connection_state::detaching) ++counters_.stale_operations;
  }
  static bool paused(const hot_entry& h) noexcept { return h.has(connection_flag::paused); }
  bool in_loop_thread() noexcept {
    if (owner_ == std::thread::id{}) owner_ = std::this_thread::get_id();
    return owner_ == std::this_thread::get_id();
  }

  // The order is that of use: what each turn touches comes first.
  connection_table table_;
  instant now_ = 0;
  bool attention_ = false;
  bool timed_ = false;  // a deadline may be armed, or a connection young
  bool completes_ = false, stopping_ = false;
  bool watchful_ = false;  // stopping_, gated_, it measures, a listener recovers, reserve is lent
  bool gated_ = false;     // a listener or the loop limits whom it lets in
  bool doors_paused_ = false;       // because the table is full
  bool closes_sent_ = false;        // with this turn, descriptors become free
  std::uint64_t ended_before_ = 0;  // connections that had ended when the turn's wait was over
  instant young_until_ = deadline::never().when();  // when the oldest of young_ is so no longer
  instant young_time_ = 0;                          // how long a connection is young
  instant young_slack_ = 0;                         // from then to its first deadline
  change_list changes_;                             // of the next turn
  lent_buffers buffers_;                            // completion
  std::uint32_t detaching_ = 0;                     // connections that only the backend still holds
  // In a hole: asks_to_send_ is the poller's. The first is registered with descriptor_waiters.
  bool waits_for_descriptor_ = false, asks_to_send_ = false, winding_down_ = false;
  std::span<std::byte> received_;  // completion: the bytes that on_data is looking at
  std::uint16_t received_buffer_ = no_buffer;
  slot_stack ending_;
  loop_counters counters_;
  loop_options options_;
  const inet_name* peers_ = nullptr;  // of the accepted events
  raw_array<event> events_;
  void* payloads_ = nullptr;
  std::size_t payload_bytes_ = 0;  // of one; 0: the handler has none, or a private one
  raw_array<std::byte> receive_buffer_;
  slot_list changed_;
  slot_list ready_;
  segment_pool segments_;
  young_connections young_;
  half_closed_list half_closed_;
  door_table doors_;
  loop_meter meter_;
  source_limits sources_;
  handover handover_;
  // While it drains: the end of that; else when a listener tries again, or its episode may be over.
  deadline stop_until_ = deadline::never();
  const void* poller_ = nullptr;
  void (*wake_)(const void*) noexcept = nullptr;
  mailbox mailbox_;
  mutable std::atomic<bool> freed_elsewhere_{false};  // a descriptor, by another loop
  std::thread::id owner_;
};

[[gnu::always_inline]] inline std::span<const change> loop_base::prepare(turn_terms& terms,
                                                                         deadline until,
                                                                         bool completes) noexcept {
  assert(in_loop_thread());
  terms.accept_room = std::min(options_.accepts_per_turn, table_.available());
  terms.until = until;
  terms.now = now_;
  if (attention_ || terms.accept_room == 0) [[unlikely]]
    return prepare_slowly(terms);
  if (timed_) terms.until = std::min(until, next_timer());
  return completes ? changes_.all() : std::span<const change>();
}

[[gnu::always_inline]] inline void loop_base::release(std::uint32_t slot, bool completes) noexcept {
  hot_entry& h = table_.hot(slot);
  ++counters_.closed[static_cast<std::size_t>(h.cause)];
  HINGE_PROBE5(close, static_cast<std::uint8_t>(h.cause), slot, h.fd, h.bytes_in, h.bytes_out);
  if (h.has(connection_flag::eventful)) [[unlikely]] {
    release_slowly(slot);
    return;
  }
  table_.erase(slot);
  close_descriptor(h.fd, completes);
}

/// Completion: with the next turn, which the descriptor becomes free by.
inline void loop_base::close_descriptor(int fd, bool completes) noexcept {
  if (completes && fd >= 0) [[likely]] {
    if (change* const next = changes_.add_early()) {
      *next = {.fd = fd, .what = operation::close};
      closes_sent_ = true;
      return;
    }
  }
  if (!completes || fd >= 0) sockets::close_unchecked(fd);
  descriptor_freed();
}

inline void loop_base::receive_soon(std::uint32_t slot, hot_entry& h) noexcept {
  constexpr std::uint32_t more_to_say = connection_flag::listed_changed |
                                        connection_flag::receiving | connection_flag::peer_ended |
                                        connection_flag::end_unread | connection_flag::above_high |
                                        connection_flag::user_paused | connection_flag::watching;
  change* const next = h.has(more_to_say) ? nullptr : changes_.add_early();
  if (next == nullptr) [[unlikely]] {
    list_changed(slot, h);
    return;
  }
  h.set(connection_flag::receiving);
  *next = receive_change(slot, h);
}

inline void loop_base::begin_young(connection_id id) noexcept {
  if (young_.empty()) young_until_ = now_ + young_time_;
  timed_ = true;
  if (young_.full()) [[unlikely]]
    end_young();
  young_.add(id);
}

inline bool loop_base::send(connection_id id, std::span<const std::byte> bytes,
                            bool last) noexcept {
  hot_entry* const h = open_entry(id);
  if (h == nullptr || h->has(connection_flag::shut_wanted)) return false;
  if (completes_) return send_completing(id.slot, bytes, last);
  int taken = 0;
  if (h->queued == 0 && bytes.size() <= options_.queue_limit_bytes) [[likely]] {
    taken = sockets::send(h->fd, bytes, last);
    if (taken == static_cast<int>(bytes.size())) [[likely]] {
      sent_whole(id.slot, *h, bytes.size(), last);
      return true;
    }
  }
  return enqueue(id.slot, bytes, taken, last);
}

inline bool loop_base::close(connection_id id) noexcept {
  hot_entry* const h = open_entry(id);
  if (h == nullptr) return false;
  if (h->queued == 0) [[likely]] {
    doom(id.slot, h->local_end());
  } else {
    begin_drain(id.slot);
  }
  return true;
}

}  // namespace hinge
