// What the operations of a connection do beyond their inlined fast paths: queues, back-pressure,
// drain.

#include <hinge/connection.hpp>

#include <array>
#include <cerrno>
#include <cstring>

#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::size_t pieces_at_once = 32;
// Bytes that one writable event may flush before the other connections have their turn.
constexpr std::uint32_t flush_bytes = 1024 * 1024;
/// Completion: a send, or the question whether there should be one, is on its way already.
constexpr std::uint32_t send_under_way =
    connection_flag::listed_changed | connection_flag::sending | connection_flag::stuck;
/// Completion: with no send under way and no receive wanted nobody hears of an error.
constexpr std::uint32_t silent = connection_flag::user_paused | connection_flag::peer_ended;

}  // namespace

/// Completion: now, or with the next turn.
bool loop_base::send_or_queue(std::uint32_t slot, std::span<const std::byte> bytes,
                              bool last) noexcept {
  const int taken = send_now(slot, bytes, last);
  if (taken > 0 && taken == static_cast<int>(bytes.size())) {
    sent_whole(slot, table_.hot(slot), bytes.size(), last);
    return true;
  }
  return enqueue(slot, bytes, taken, last);
}

/// Completion: what is more than a segment, or would pass the mark, is not for the batch: copying
/// costs more than a call, and a queue over its mark shall mean that the socket takes no more.
/// Returns what send(2) says of `bytes`.
int loop_base::send_now(std::uint32_t slot, std::span<const std::byte> bytes, bool last) noexcept {
  hot_entry& h = table_.hot(slot);
  const std::size_t all = h.queued + bytes.size();
  const bool waits = all <= segment_pool::segment_bytes || stays_received(h, bytes) ||
                     h.has(connection_flag::sending);
  if ((waits && all <= options_.queue_high_bytes) || h.has(connection_flag::above_high)) return 0;
  send_queued(slot);
  if (h.state != connection_state::open) return -EPIPE;
  if (h.queued != 0 || bytes.size() > options_.queue_limit_bytes) return 0;
  const int taken = sockets::send(h.fd, bytes, last);
  if (taken < static_cast<int>(bytes.size())) h.set(connection_flag::stuck);
  return taken;
}

/// Completion: what no turn has taken yet is sent now, as on a readiness backend it is already. It
/// may be the end of the connection.
void loop_base::send_queued(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.state != connection_state::open && h.state != connection_state::draining) return;
  take_back_send(slot, h);
  constexpr std::uint32_t waits =
      connection_flag::sending | connection_flag::stuck | connection_flag::above_high;
  if (h.queued != 0 && !h.has(waits)) flush(slot);
}

bool loop_base::enqueue(std::uint32_t slot, std::span<const std::byte> bytes, int taken,
                        bool last) noexcept {
  if (!append(slot, bytes, taken)) return false;
  hot_entry& h = table_.hot(slot);
  if (h.queued != 0 && (completes_ ? !last : !h.has(connection_flag::attached)))
    list_changed(slot, h);
  constexpr std::uint32_t goes_on = connection_flag::stuck | connection_flag::unsent;
  if (asks_to_send_ && h.queued != 0 && !h.has(goes_on)) {
    h.set(connection_flag::stuck);
    list_changed(slot, h);
  }
  if (last) {
    begin_drain(slot);
  } else if (h.queued > options_.queue_high_bytes && !h.has(connection_flag::above_high)) {
    h.set(connection_flag::above_high);
    ++counters_.read_pauses;
  }
  return true;
}

/// Puts what is left of `bytes` into the queue.
bool loop_base::append(std::uint32_t slot, std::span<const std::byte> bytes, int taken) noexcept {
  hot_entry& h = table_.hot(slot);
  if (taken < 0 && !sockets::would_block(taken)) {
    fail_connection(slot, taken);
    return false;
  }
  if (bytes.empty()) return true;
  if (h.queued + bytes.size() > options_.queue_limit_bytes) {
    ++counters_.refused_sends;
    return false;
  }
  const std::span<const std::byte> rest =
      bytes.subspan(taken > 0 ? static_cast<std::size_t>(taken) : 0);
  if (!append_out(h, rest)) {
    ++counters_.refused_sends;
    ++counters_.refused_total;
    // Nothing is queued that would wait behind a full socket.
    if (h.queued == 0) h.clear(connection_flag::stuck);
    if (taken > 0) {
      count_out(h, static_cast<std::uint32_t>(taken));
      // Half of `bytes` may be on its way: the stream can't be mended.
      h.set(connection_flag::reset);
      doom(slot, close_cause::queue_full);
    }
    return false;
  }
  h.set(connection_flag::has_queue);
  count_out(h, static_cast<std::uint32_t>(bytes.size() - rest.size()));
  h.last_activity = now_;
  const bool first = h.queued == 0;
  h.queued += static_cast<std::uint32_t>(rest.size());
  if (first) {
    table_.cold(slot).since = now_;
    deadline_moved(slot, options_.write_stall_timeout);
  }
  return true;
}

/// What lies in the received buffer that the handler is looking at stays there.
bool loop_base::append_out(hot_entry& h, std::span<const std::byte> bytes) noexcept {
  if (!stays_received(h, bytes) || !segments_.append_reference(h.out, bytes, received_buffer_))
    return segments_.append(h.out, bytes);
  lend_once_more(h, received_buffer_);
  return true;
}

void loop_base::begin_drain(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.state != connection_state::open) return;
  if (h.queued == 0) {
    doom(slot, h.local_end());
    return;
  }
  if (completes_) take_back_send(slot, h);
  no_longer_half_closed(slot, h);
  h.state = connection_state::draining;
  h.cause = h.local_end();
  h.clear(connection_flag::above_high | connection_flag::user_paused);
  table_.cold(slot).since = now_;
  deadline_moved(slot, options_.drain_timeout);
  if (completes_ && !send_last_soon(slot, h)) list_changed(slot, h);
  // Unread bytes would turn the close into a reset: from here on they are read and dropped.
  if (h.has(connection_flag::unread) || !h.held.empty()) list_ready(slot, h);
}

/// The only piece of the queue becomes a change of the next turn; without room for it, the slot is
/// one of the changed.
[[gnu::always_inline]] inline void loop_base::send_soon(std::uint32_t slot, hot_entry& h,
                                                        std::span<const std::byte> only,
                                                        std::uint8_t flags) noexcept {
  change* const next = changes_.add_early();
  if (next == nullptr) [[unlikely]] {
    list_changed(slot, h);
    return;
  }
  h.set(flags == change::then_close ? connection_flag::sending | connection_flag::closing
                                    : connection_flag::sending);
  *next = {.subject = token(role::connection, slot, h.generation),
           .data = only.data(),
           .length = static_cast<std::uint32_t>(only.size()),
           .fd = h.fd,
           .what = operation::send,
           .flags = flags};
}

/// A send that no turn has taken yet may become another one, or none.
void loop_base::take_back_send(std::uint32_t slot, hot_entry& h) noexcept {
  if (h.has(connection_flag::sending) && changes_.take_back_send(table_.token_of(slot)))
    h.clear(connection_flag::sending | connection_flag::closing);
}

/// The last bytes and the close travel together, when nothing else is under way. False: it is.
bool loop_base::send_last_soon(std::uint32_t slot, hot_entry& h) noexcept {
  if (h.has(send_under_way | connection_flag::receiving) || !segments_.single(h.out)) return false;
  const segment_pool::piece only = segments_.front(h.out);
  send_soon(slot, h, {only.data, only.length}, change::then_close);
  return true;
}

/// Completion: most replies lie in the received buffer, and nothing stands before them; with the
/// last one goes the close. Otherwise there is more to it.
bool loop_base::send_completing(std::uint32_t slot, std::span<const std::byte> bytes,
                                bool last) noexcept {
  constexpr std::uint32_t receives_more =
      connection_flag::above_high | connection_flag::user_paused | connection_flag::receiving;
  constexpr std::uint32_t anything_else =
      send_under_way | receives_more | connection_flag::half_closed;
  hot_entry& h = table_.hot(slot);
  if (bytes.empty() || h.queued != 0 || h.has(last ? anything_else : send_under_way) ||
      (last && !h.held.empty()) || !stays_received(h, bytes) ||
      bytes.size() > options_.queue_high_bytes ||
      !segments_.append_reference(h.out, bytes, received_buffer_)) [[unlikely]]
    return send_or_queue(slot, bytes, last);
  lend_once_more(h, received_buffer_);
  h.set(connection_flag::has_queue);
  h.queued = static_cast<std::uint32_t>(bytes.size());
  h.last_activity = table_.cold(slot).since = now_;
  if (last) {
    h.state = connection_state::draining;
    h.cause = h.local_end();
  }
  if (h.has(connection_flag::grown)) {
    deadline_moved(slot, options_.write_stall_timeout);
    if (last) deadline_moved(slot, options_.drain_timeout);
  }
  send_soon(slot, h, bytes, last ? change::then_close : std::uint8_t{0});
  return true;
}

bool loop_base::abort(connection_id id) noexcept {
  hot_entry* const h = table_.find(id);
  if (h == nullptr ||
      (h->state != connection_state::open && h->state != connection_state::draining)) {
    refused(h);
    return false;
  }
  if (completes_) send_queued(id.slot);
  if (h->state == connection_state::ending) return false;  // a last reply went, and the end with it
  h->set(connection_flag::reset);
  doom(id.slot, close_cause::local_abort);
  return true;
}

bool loop_base::shutdown_write(connection_id id) noexcept {
  hot_entry* const h = open_entry(id);
  if (h == nullptr || h->has(connection_flag::shut_wanted)) return false;
  h->set(connection_flag::shut_wanted);
  no_longer_half_closed(id.slot, *h);
  if (h->queued == 0) shut_if_wanted(id.slot, *h);
  return true;
}

void loop_base::shut_if_wanted(std::uint32_t slot, hot_entry& h) noexcept {
  if (!h.has(connection_flag::shut_wanted) || h.has(connection_flag::shut_done)) return;
  h.set(connection_flag::shut_done);
  const int failed = sockets::shutdown_write(h.fd);
  if (failed < 0) {
    fail_connection(slot, failed == -ENOTCONN ? -ECONNRESET : failed);
  } else if (h.has(connection_flag::peer_ended)) {
    doom(slot, close_cause::peer_closed);
  }
}

bool loop_base::pause_reading(connection_id id, bool pause) noexcept {
  hot_entry* const h = open_entry(id);
  if (h == nullptr) return false;
  if (pause) {
    h->set(connection_flag::user_paused);
  } else {
    h->clear(connection_flag::user_paused);
    list_ready(id.slot, *h);
  }
  if (completes_) list_changed(id.slot, *h);
  return true;
}

// --- progress of what is queued ------------------------------------------------------------------

/// Takes `count` bytes that were sent off the chain.
void loop_base::consume(hot_entry& h, std::uint32_t count) noexcept {
  h.queued -= count;
  count_out(h, count);
  while (count != 0) {
    const std::uint32_t from_first = std::min(count, segments_.front(h.out).length);
    give_back(h, segments_.consume_front(h.out, from_first));
    count -= from_first;
  }
}

bool loop_base::after_progress(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.state == connection_state::open) table_.cold(slot).since = now_;
  h.last_activity = now_;
  if (h.queued == 0) {
    shut_if_wanted(slot, h);
    if (h.state == connection_state::draining) doom(slot, h.cause);
  }
  if (completes_ && (h.queued != 0 || h.has(silent))) list_changed(slot, h);
  if (!h.has(connection_flag::above_high) || h.queued > options_.queue_low_bytes) return false;
  h.clear(connection_flag::above_high);
  list_ready(slot, h);
  if (completes_) list_changed(slot, h);
  return h.state == connection_state::open;
}

bool loop_base::flush(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  const std::uint32_t before = h.queued;
  h.clear(connection_flag::unsent);
  while (h.queued != 0 && before - h.queued < flush_bytes) {
    std::array<iovec, pieces_at_once> pieces;
    const std::size_t count = segments_.gather(h.out, pieces);
    const bool last = h.state == connection_state::draining;
    const int taken = sockets::send_pieces(h.fd, std::span(pieces).first(count), last);
    if (taken < 0) {
      sockets::would_block(taken) ? h.set(connection_flag::stuck) : fail_connection(slot, taken);
      if (asks_to_send_ && h.has(connection_flag::stuck)) list_changed(slot, h);
      break;
    }
    consume(h, static_cast<std::uint32_t>(taken));
  }
  if (h.queued == before) return false;
  // The edge is used up only by EAGAIN; a flush that stopped for fairness goes on by itself, on a
  // completion backend behind the next piece.
  if (!completes_ && before - h.queued >= flush_bytes && h.queued != 0) {
    h.set(connection_flag::unsent);
    list_ready(slot, h);
  }
  return after_progress(slot);
}

bool loop_base::sent(std::uint32_t slot, std::int32_t result) noexcept {
  hot_entry& h = table_.hot(slot);
  h.clear(connection_flag::sending | connection_flag::closing | connection_flag::stuck);
  if (h.state == connection_state::detaching) return false;
  constexpr std::uint32_t more_to_do =
      connection_flag::above_high | connection_flag::shut_wanted | silent;
  if (h.state == connection_state::open && !h.has(more_to_do) &&
      result == static_cast<std::int32_t>(h.queued) && segments_.single(h.out)) [[likely]] {
    count_out(h, h.queued);
    give_back(h, segments_.consume_front(h.out, h.queued));
    h.queued = 0;
    h.last_activity = now_;
    return false;
  }
  if (sockets::would_block(result)) {
    h.set(connection_flag::stuck);
    list_changed(slot, h);
    return false;
  }
  if (result < 0) {
    fail_connection(slot, result);
    return false;
  }
  if (result == 0) {  // the socket takes bytes again
    if (flush(slot)) return true;
    list_changed(slot, h);
    return false;
  }
  consume(h, static_cast<std::uint32_t>(result));
  // What stands behind it is gathered.
  if (h.queued != 0 && !segments_.single(h.out) && flush(slot)) return true;
  return after_progress(slot);
}

void loop_base::drop_chain(hot_entry& h, segment_chain& chain) noexcept {
  while (!chain.empty())
    give_back(h, segments_.consume_front(chain, segments_.front(chain).length));
}

bool loop_base::received_unusually(std::uint32_t slot, const event& e) noexcept {
  hot_entry& h = table_.hot(slot);
  const bool live = h.state == connection_state::open || h.state == connection_state::draining;
  if (e.buffer != no_buffer) {
    assert(e.result > 0);
    buffers_.lend(e.buffer);
    if (live) count_in(h, static_cast<std::uint32_t>(e.result));
    if (h.state == connection_state::open) {
      h.last_activity = now_;
      hold(slot, buffers_.bytes(e), e.buffer);
    } else {
      unreference(e.buffer);
    }
  } else if (live && e.result == 0 && h.has(connection_flag::watching)) {
    h.set(connection_flag::end_seen);
    half_close(slot);
  } else if (live && e.result == 0) {
    if (h.held.empty() && !paused(h)) return true;
    h.set(connection_flag::end_unread);
    if (paused(h)) half_close(slot);
  } else if (live && e.result != -ECANCELED && e.result != -ENOBUFS) {
    // Not when it was stopped, or without a free buffer: it is armed again, no more.
    h.has(connection_flag::watching) ? fail_broken(slot, 0) : fail_connection(slot, e.result);
  }
  return false;
}

/// Bytes that arrived while reading was paused wait in their buffer, if that may be.
void loop_base::hold(std::uint32_t slot, std::span<std::byte> bytes,
                     std::uint16_t buffer) noexcept {
  hot_entry& h = table_.hot(slot);
  h.set(connection_flag::has_queue);
  if (buffers_.may_keep(h.lent) && segments_.append_reference(h.held, bytes, buffer)) {
    ++h.lent;
    return;
  }
  if (!segments_.append(h.held, bytes)) doom(slot, close_cause::queue_full);
  unreference(buffer);
}

/// The next bytes to deliver, off their chain. What was copied is copied once more, since its
/// segment may be used again while the handler looks at it; as much of it as there is, since the
/// handler may well send it, by a call.
segment_pool::piece loop_base::take_held(hot_entry& h) noexcept {
  const segment_pool::piece first = segments_.front(h.held);
  if (first.buffer != no_buffer) {
    segments_.consume_front(h.held, first.length);
    --h.lent;
    return first;
  }
  const std::size_t most = std::max(options_.receive_buffer_bytes, segment_pool::segment_bytes);
  std::uint32_t length = 0;
  while (!h.held.empty()) {
    const segment_pool::piece next = segments_.front(h.held);
    if (next.buffer != no_buffer || length + next.length > most) break;
    std::memcpy(receive_buffer_.data() + length, next.data, next.length);
    segments_.consume_front(h.held, next.length);
    length += next.length;
  }
  return {receive_buffer_.data(), length, no_buffer};
}

}  // namespace hinge
