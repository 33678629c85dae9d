// How a loop reads what arrives, until the end: the other half of loop.hpp, which includes it.
#pragma once

#include <hinge/loop.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hinge {

/// Readiness: a hint that something can be done.
template <poller P, handler H>
void loop<P, H>::ready(std::uint32_t slot, hot_entry& h, const event& e) noexcept {
  const std::int32_t hints = e.result;
  if ((hints & readiness::end) != 0) h.set(connection_flag::end_unread);
  if ((hints & readiness::urgent) != 0) h.set(connection_flag::partial_reads);
  const connection_id id = table_.id(slot);
  if ((hints & readiness::out) != 0 && h.queued != 0) {
    h.clear(connection_flag::stuck);
    writable(slot, flush(slot));
    if (!alive(id)) return;
  }
  if ((hints & ~readiness::out) == 0) return;
  h.set(connection_flag::unread);
  if ((hints & readiness::error) != 0 && error_told(slot, hints)) return;
  const std::uint64_t before = h.bytes_in;
  read(slot);
  if (e.buffer != no_buffer && alive(id)) read_of(slot, h.bytes_in - before, e.buffer);
}

/// Readiness: receives until the socket is empty, at most receives_per_event full buffers.
template <poller P, handler H>
void loop<P, H>::read(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  const connection_id id = table_.id(slot);
  const std::span buffer(receive_buffer_.data(), options_.receive_buffer_bytes);
  for (std::uint32_t i = 0; i < options_.receives_per_event; ++i) {
    int count;
    if (h.has(connection_flag::deaf | connection_flag::pending)) [[unlikely]] {
      if (h.has(connection_flag::deaf)) return half_close(slot);
      count = receive_first(h, buffer);
    } else {
      count = sockets::receive(h.fd, buffer);
    }
    if (count > 0) [[likely]] {
      count_in(h, static_cast<std::uint32_t>(count));
      if (h.state == connection_state::open) {
        h.last_activity = now_;
        deliver_read(slot, buffer.first(static_cast<std::size_t>(count)));
        settle();
        if (!alive(id)) return;
      }
      // A short read has emptied the socket, but at an end, at urgent data, and on Unix sockets.
      if (count < static_cast<int>(buffer.size()) &&
          !h.has(connection_flag::end_unread | connection_flag::partial_reads)) {
        h.clear(connection_flag::unread);
        return;
      }
      continue;
    }
    h.clear(connection_flag::unread);
    if (count == 0 && h.has(connection_flag::gone_told)) count = -ECONNRESET;
    if (count == 0) {
      peer_ended(slot);
    } else if (!sockets::would_block(count)) {
      fail_connection(slot, count);
      settle_seldom();
    } else if (h.has(connection_flag::partial_reads) && hides_bytes(slot)) {
      h.set(connection_flag::unread);
      continue;
    }
    return;
  }
  list_ready(slot, h);
}

template <poller P, handler H>
void loop<P, H>::peer_ended(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  h.set(connection_flag::peer_ended);
  h.clear(connection_flag::end_unread);
  if (h.state != connection_state::open) return;
  const bool both = h.has(connection_flag::shut_done);
  if constexpr (requires { handler_.on_end(connection{}); }) {
    handler_.on_end(handle(slot));
    if (h.state == connection_state::open && !both) [[unlikely]]
      half_close(slot);
  } else if (!both) {
    close(table_.id(slot));
  }
  if (both) doom(slot, close_cause::peer_closed);
  settle_seldom();
}

/// Completion: bytes, an end, or an error.
template <poller P, handler H>
inline void loop<P, H>::received(std::uint32_t slot, hot_entry& h, const event& e) noexcept {
  const std::uint32_t generation = h.generation;
  if (e.more == 0) h.clear(connection_flag::receiving | connection_flag::stopping);
  const auto unusual = [&h, &e] {
    return e.result <= 0 || h.state != connection_state::open ||
           h.has(connection_flag::paused | connection_flag::pending) || !h.held.empty();
  };
  if (unusual() && (e.result <= 0 || !spoke(h) || unusual())) [[unlikely]] {
    if (received_unusually(slot, e)) peer_ended(slot);
  } else {
    buffers_.lend(e.buffer);
    count_in(h, static_cast<std::uint32_t>(e.result));
    h.last_activity = now_;
    deliver(slot, buffers_.bytes(e), e.buffer);
  }
  if (e.more == 0 && h.generation == generation && !h.has(connection_flag::closing))
    receive_again(slot, h);
}

template <poller P, handler H>
inline void loop<P, H>::deliver(std::uint32_t slot, std::span<std::byte> bytes,
                                std::uint16_t buffer) noexcept {
  if (buffer != no_buffer) received_ = bytes;
  received_buffer_ = buffer;
  handler_.on_data(handle(slot), bytes);
  received_ = {};
  if (buffer != no_buffer) unreference(buffer);
  settle_seldom();
}

/// Completion: what arrived while reading was paused.
template <poller P, handler H>
void loop<P, H>::deliver_held(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  const connection_id id = table_.id(slot);
  if (h.state == connection_state::draining) drop_chain(h, h.held);
  while (!h.held.empty()) {
    if (paused(h)) return half_close(slot);
    const segment_pool::piece next = take_held(h);
    deliver(slot, {const_cast<std::byte*>(next.data), next.length}, next.buffer);
    if (!alive(id) || h.state != connection_state::open) return;
  }
  if (paused(h)) return half_close(slot);
  if (h.has(connection_flag::end_unread)) peer_ended(slot);
}

}  // namespace hinge
