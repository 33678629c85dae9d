#include <hinge/loop_base.hpp>

#include <hinge/connection.hpp>

#include <cerrno>
#include <new>
#include <utility>

#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::uint32_t most_changes_of_one = 2;  // of a connection in a turn
constexpr nanoseconds longest_timeout = std::chrono::hours(24 * 366);
constexpr instant longest_young = instant{4} << deadline_wheel::tick_bits;  // 34 ms

result<std::uint32_t> capacity_from(const loop_options& options) noexcept {
  if (options.max_connections != 0) return options.max_connections;
  rlimit limit;
  const int failed = sys::getrlimit(RLIMIT_NOFILE, &limit);
  if (failed < 0) return fail("getrlimit", "RLIMIT_NOFILE", -failed);
  if (limit.rlim_cur <= options.head_room)
    return fail("open loop", "head_room is not below the descriptor limit", EINVAL);
  return static_cast<std::uint32_t>(
      std::min<rlim_t>(limit.rlim_cur - options.head_room, token::max_slots));
}

}  // namespace

loop_base::loop_base() noexcept = default;

loop_base::~loop_base() {
  if (waits_for_descriptor_) descriptor_waiters::remove(this);
}

result<loop_options> loop_options::resolved() const noexcept {
  loop_options options = *this;
  const auto refuse = [](const char* what) { return fail("open loop", what, EINVAL); };
  if (options.accepts_per_turn == 0) return refuse("accepts_per_turn is 0");
  if (options.events_per_turn < options.accepts_per_turn + least_event_room)
    return refuse("events_per_turn is below accepts_per_turn + 2");
  if (options.events_per_turn < 4 * most_changes_of_one)
    return refuse("events_per_turn is below 8");
  if (options.events_per_turn > 65536) return refuse("events_per_turn is over 65536");
  if (options.receive_buffer_bytes == 0) return refuse("receive_buffer_bytes is 0");
  if (options.receives_per_event == 0) return refuse("receives_per_event is 0");
  if (options.queue_low_bytes > options.queue_high_bytes)
    return refuse("queue_low_bytes is over queue_high_bytes");
  if (options.queue_limit_bytes > 0x4000'0000) return refuse("queue_limit_bytes is over 1 GiB");
  if (std::uint64_t{options.queue_high_bytes} + options.receive_buffer_bytes >
      options.queue_limit_bytes)
    return refuse("queue_limit_bytes is below queue_high_bytes + receive_buffer_bytes");
  if (options.queue_total_bytes < options.queue_limit_bytes)
    return refuse("queue_total_bytes is below queue_limit_bytes");
  if (options.max_connections > token::max_slots) return refuse("max_connections is over 16777216");
  const std::pair<nanoseconds, const char*> timeouts[] = {
      {options.first_byte_timeout, "first_byte_timeout is negative or over a year"},
      {options.idle_timeout, "idle_timeout is negative or over a year"},
      {options.write_stall_timeout, "write_stall_timeout is negative or over a year"},
      {options.drain_timeout, "drain_timeout is negative or over a year"},
      {options.half_closed_limit, "half_closed_limit is negative or over a year"},
  };
  for (const auto& [timeout, what] : timeouts)
    if (timeout.count() < 0 || timeout > longest_timeout) return refuse(what);
  const result<std::uint32_t> capacity = capacity_from(options);
  if (!capacity) return fail(capacity);
  options.max_connections = *capacity;
  return options;
}

result<void> loop_base::open_base(const loop_options& options, const poller_limits& limits,
                                  bool completes, const void* poller,
                                  void (*wake)(const void*) noexcept) noexcept {
  const auto no_memory = [](const char* what) { return fail("open loop", what, ENOMEM); };
  if (completes && std::uint64_t{options.queue_high_bytes} + options.ring_buffer_bytes >
                       options.queue_limit_bytes)
    return fail("open loop", "queue_limit_bytes is below queue_high_bytes + ring_buffer_bytes",
                EINVAL);
  options_ = options;
  peers_ = limits.peers;
  completes_ = completes;
  asks_to_send_ = limits.asks_to_send;
  const std::uint32_t capacity = options.max_connections;
  if (!table_.open(capacity, now_)) return no_memory("memory for the connection table");
  if (!ending_.open(capacity) || !changed_.open(capacity) || !ready_.open(capacity))
    return no_memory("memory for the lists of connections");
  // A received buffer may be answered in two pieces; what has no reference is copied.
  if (!segments_.open(options.queue_total_bytes, completes ? 2 * limits.buffer_count : 0))
    return no_memory("memory for the queues");
  if (completes && !buffers_.open(limits)) return no_memory("memory for the buffer references");
  // On a completion backend see take_held().
  if (!receive_buffer_.open(std::max(options.receive_buffer_bytes, segment_pool::segment_bytes)))
    return no_memory("memory for the receive buffer");
  const std::uint32_t most_changes = 2 * options.events_per_turn;
  if (!changes_.open(most_changes, limits.buffer_count)) return no_memory("memory for changes");
  // Each change may be answered.
  if (!events_.open(std::size_t{options.events_per_turn} + most_changes + limits.buffer_count))
    return no_memory("memory for events");
  if (!doors_.open()) return no_memory("memory for listeners");
  if (!young_.open()) return no_memory("memory for the young connections");
  if (!half_closed_.open(capacity)) return no_memory("memory for the half-closed connections");
  if (auto opened = sources_.open(options.source, options.source_network, capacity); !opened)
    return opened;
  gated_ = sources_.any();
  meter_ = {.clock = options.work_clock, .since = now_};
  attention_ = meter_.measures();
  watchful_ = gated_ || meter_.measures();
  nanoseconds shortest = longest_timeout;
  for (const nanoseconds timeout :
       {options.first_byte_timeout, options.idle_timeout, options.write_stall_timeout,
        options.drain_timeout, options.half_closed_limit})
    if (timeout.count() != 0) shortest = std::min(shortest, timeout);
  young_time_ = std::min<instant>(longest_young, shortest.count());
  young_slack_ = shortest.count() - young_time_;
  poller_ = poller;
  wake_ = wake;
  return {};
}

// --- before a turn -------------------------------------------------------------------------------

/// What is listed and doesn't fit is made later, from the state of then: the descriptor of now may
/// be somebody else's.
std::span<const change> loop_base::prepare_slowly(turn_terms& terms) noexcept {
  if (!completes_) changes_.clear();
  if (meter_.measures()) measure_work();
  // Whom the backend has accepted already, and who is shed: that takes no room.
  if (stopping_) terms.accept_room = std::max(options_.accepts_per_turn, 1U);
  if (doors_.changed() || doors_.exhausted() != 0 || (terms.accept_room == 0) != doors_paused_)
    arm_doors(terms.accept_room != 0);
  emit_changes();
  // The turn itself closes descriptors: who waits for one doesn't wait in it.
  const bool freeing = closes_sent_ && doors_.exhausted() != 0;
  const bool more = !ready_.empty() || !changed_.empty() || doors_.changed() || freeing;
  terms.until = more || emptied() ? deadline::immediately() : std::min(terms.until, next_wake_up());
  attention_ = more || stopping_ || doors_paused_ || doors_.episodes() != 0 ||
               doors_.emptying() != 0 || meter_.measures();
  return changes_.all();
}

deadline loop_base::next_wake_up() const noexcept {
  return timed_ ? std::min(next_timer(), stop_until_) : stop_until_;
}

void loop_base::emit_changes() noexcept {
  while (!changed_.empty() && changes_.room() >= most_changes_of_one) {
    const std::uint32_t slot = changed_.take();
    hot_entry& h = table_.hot(slot);
    h.clear(connection_flag::listed_changed);
    if (h.state == connection_state::free) continue;
    if (completes_) {
      emit_completion_changes(slot, h);
    } else if (!h.has(connection_flag::attached)) {
      h.set(connection_flag::attached);
      changes_.add({.subject = table_.token_of(slot), .fd = h.fd});
    }
    if (asks_to_send_ && h.has(connection_flag::stuck))
      changes_.add({.subject = table_.token_of(slot), .fd = h.fd, .what = operation::send});
  }
}

void loop_base::emit_completion_changes(std::uint32_t slot, hot_entry& h) noexcept {
  const token subject = table_.token_of(slot);
  if (h.state == connection_state::detaching) {
    if (h.has(connection_flag::detach_asked)) return;
    h.set(connection_flag::detach_asked);
    changes_.add({.subject = subject, .fd = h.fd, .what = operation::detach});
    return;
  }
  if (h.has(connection_flag::closing)) return;
  // The last bytes and the close travel together, when nothing else is under way.
  const bool last = h.state == connection_state::draining && h.queued != 0 &&
                    segments_.single(h.out) &&
                    !h.has(connection_flag::stuck | connection_flag::sending);
  const bool held_back = last && h.has(connection_flag::receiving);
  if (h.queued != 0 && !held_back && !h.has(connection_flag::sending)) {
    // Behind a full socket nothing goes before a call can gather all that waits.
    const bool stuck = h.has(connection_flag::stuck);
    const segment_pool::piece first = stuck ? segment_pool::piece{} : segments_.front(h.out);
    const std::uint8_t flags = last                               ? change::then_close
                               : stuck || segments_.single(h.out) ? std::uint8_t{0}
                                                                  : change::more_follows;
    h.set(last ? connection_flag::sending | connection_flag::closing : connection_flag::sending);
    changes_.add({.subject = subject,
                  .data = first.data,
                  .length = first.length,
                  .fd = h.fd,
                  .what = operation::send,
                  .flags = flags});
  }
  const bool wanted =
      !last && !paused(h) && !h.has(connection_flag::peer_ended | connection_flag::end_unread);
  // Nobody else would hear of an error, or of an end that isn't read.
  const bool watched = !last && !wanted && h.state == connection_state::open;
  if (h.has(connection_flag::receiving)) {
    if ((h.has(connection_flag::watching) ? watched : wanted) || h.has(connection_flag::stopping))
      return;
    h.set(connection_flag::stopping);
    changes_.add({.subject = subject, .fd = h.fd, .what = operation::stop_receive});
  } else if (wanted) {
    h.clear(connection_flag::watching);
    h.set(connection_flag::receiving);
    changes_.add(receive_change(slot, h));
  } else if (watched && (!h.has(connection_flag::sending) || h.has(connection_flag::stuck))) {
    // A send that is under way tells errors; one that waits for room doesn't tell an end.
    h.set(connection_flag::receiving | connection_flag::watching);
    changes_.add(
        {.subject = subject, .fd = h.fd, .what = operation::receive, .flags = change::watch});
  }
}

void loop_base::fail_broken(std::uint32_t slot, int told) noexcept {
  const int pending = sockets::pending_error(table_.hot(slot).fd);
  const int code = pending > 0 ? -pending : pending;
  if (code != 0 || told != 0) fail_connection(slot, code != 0 ? code : told);
}

// --- the end of a connection and of the loop -----------------------------------------------------

void loop_base::release_slowly(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.has(connection_flag::deadline_armed)) table_.deadlines().disarm(slot);
  if (h.has(connection_flag::counted) && handover_.inbox == nullptr) left(slot);
  no_longer_half_closed(slot, h);
  // A stream that is cut short must not look complete, nor linger in the kernel.
  if (h.queued != 0) h.set(connection_flag::reset);
  if (h.has(connection_flag::receiving | connection_flag::sending) && h.fd >= 0) {
    // Until the backend has let go, more may come, and a close would be a reset for it.
    if (!h.has(connection_flag::reset | connection_flag::shut_done))
      (void)sockets::shutdown_write(h.fd);
    // The backend may still read from `out`: that is dropped when it has let go.
    h.state = connection_state::detaching;
    ++detaching_;
    list_changed(slot, h);
    return;
  }
  close_slot(slot);
}

void loop_base::close_slot(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  drop_chain(h, h.out);
  drop_chain(h, h.held);
  if (h.fd >= 0 && h.has(connection_flag::reset)) sockets::reset_on_close(h.fd);
  table_.erase(slot);
  // Not before: the next one is handed over to this slot, if there is no other.
  if (handover_.inbox != nullptr && handover_.inbox->ended()) handover_.by->wake();
  close_descriptor(h.fd, completes_);
}

/// An event of a connection that has gone.
void loop_base::stale(const event& e) noexcept {
  ++counters_.stale_events;
  HINGE_PROBE3(stale, e.subject.slot(), e.subject.generation(), static_cast<std::uint8_t>(e.kind));
  if (e.kind != event_kind::received || e.buffer == no_buffer) return;
  buffers_.lend(e.buffer);
  unreference(e.buffer);
}

bool loop_base::error_told(std::uint32_t slot, std::int32_t hints) noexcept {
  hot_entry& h = table_.hot(slot);
  const int told = readiness::cause(hints);
  // Nobody will read, so nobody else would find out.
  if (paused(h) || h.has(connection_flag::peer_ended)) {
    fail_broken(slot, -told);
    return true;
  }
  if (sockets::peer_gone(-told)) h.set(connection_flag::gone_told);
  return false;
}

/// A short read that brought less than there was may have stopped at urgent data, and not be the
/// last. What has stopped before, by a pause or for the others' sake, goes on until it is.
void loop_base::read_of(std::uint32_t slot, std::uint64_t bytes, std::uint16_t announced) noexcept {
  hot_entry& h = table_.hot(slot);
  if ((announced != readiness::many && bytes >= announced) || h.has(connection_flag::peer_ended))
    return;
  if (!h.has(connection_flag::unread)) {
    if (!hides_bytes(slot)) return;
    h.set(connection_flag::unread);
    list_ready(slot, h);
  }
  h.set(connection_flag::partial_reads);
}

/// A receive said EAGAIN, or was short. At the mark of urgent data it also is when more is there,
/// and says EAGAIN when a signal is pending (tcp(7); Linux 6.18), and the edge is used up. poll(2)
/// knows better, and short reads are to be believed again; on a Unix socket it isn't needed.
bool loop_base::hides_bytes(std::uint32_t slot) noexcept {
  const family peer = table_.cold(slot).peer.family;
  if (peer != family::ipv4 && peer != family::ipv6) return false;
  hot_entry& h = table_.hot(slot);
  if (sockets::readable(h.fd)) return true;
  h.clear(connection_flag::partial_reads);
  return false;
}

bool loop_base::slot_detached(std::uint32_t slot, std::int32_t result) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.state == connection_state::draining) [[likely]] {
    // The closing send went through: all that was queued, one piece, has been sent.
    count_out(h, h.queued);
    give_back(h, segments_.consume_front(h.out, h.queued));
    h.clear(connection_flag::sending | connection_flag::closing |
            (h.held.empty() ? connection_flag::has_queue : 0));
    h.queued = 0;
    h.fd = -1;
    h.state = connection_state::ending;
    return true;
  }
  --detaching_;
  if (result == detach_result::closed) h.fd = -1;
  close_slot(slot);
  return false;
}

/// A poller that broke takes no more changes: every descriptor is closed here, but for those that
/// it was told to close behind a send: their numbers may be somebody else's.
void loop_base::abandon() noexcept {
  for (const change& wanted : changes_.all())
    if (wanted.what == operation::close || (wanted.flags & change::then_close) != 0)
      sockets::close(wanted.fd);
  changes_.clear();
  for (std::uint32_t slot = 0; slot < table_.touched(); ++slot) {
    hot_entry& h = table_.hot(slot);
    if (h.state == connection_state::free) continue;
    if (h.fd >= 0 && !h.has(connection_flag::closing)) sockets::close(h.fd);
    table_.erase(slot);
  }
}

void loop_base::stop() noexcept {
  stopping_ = watchful_ = attention_ = true;
  stop_until_ = deadline::never();
  close_doors();
  for (std::uint32_t slot = 0; slot < table_.touched(); ++slot) {
    if (completes_) send_queued(slot);
    doom(slot, close_cause::drain);
  }
}

void loop_base::post(mailbox::function task) noexcept {
  if (mailbox_.post(std::move(task))) wake();
}

address connection::peer() const noexcept {
  const hot_entry* const h = entry();
  if (h == nullptr) return {};
  inet_name& known = loop_->table_.cold(id_.slot).peer;
  if (known.family == family::ipv4 || known.family == family::ipv6) return address::from(known);
  if (h->fd < 0) return address::from(known);
  const result<address> asked = sockets::peer_of(h->fd);
  if (!asked) return address::from(known);
  known = asked->inet();
  return *asked;
}

}  // namespace hinge
