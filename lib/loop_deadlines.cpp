// What time does to the connections of a loop: deadlines, and how long they have been half-closed.

#include <hinge/loop_base.hpp>

#include <algorithm>
#include <utility>

#include "stream_socket.hpp"

namespace hinge {

struct loop_base::expiry {
  deadline when = deadline::never();
  close_cause cause = close_cause::none;  // none: it is half-closed for too long
};

loop_base::expiry loop_base::next_expiry(std::uint32_t slot) const noexcept {
  const hot_entry& h = table_.hot(slot);
  const cold_entry& c = table_.cold(slot);
  expiry first;
  const auto consider = [&first](instant start, nanoseconds timeout, close_cause cause) {
    if (timeout.count() == 0 || first.when <= deadline::after(start, timeout)) return;
    first = {deadline::after(start, timeout), cause};
  };
  if (h.state == connection_state::draining) {
    consider(c.since, options_.drain_timeout, close_cause::drain);
    consider(h.last_activity, options_.write_stall_timeout, close_cause::write_stall);
    return first;
  }
  if (h.bytes_in == 0)
    consider(c.opened, options_.first_byte_timeout, close_cause::first_byte_timeout);
  consider(h.last_activity, options_.idle_timeout, close_cause::idle_timeout);
  if (h.queued != 0) consider(c.since, options_.write_stall_timeout, close_cause::write_stall);
  if (h.has(connection_flag::half_closed) && !h.has(connection_flag::half_closed_told))
    consider(half_closed_.since(slot), options_.half_closed_limit, close_cause::none);
  return first;
}

void loop_base::arm_deadline(std::uint32_t slot) noexcept {
  const deadline when = next_expiry(slot).when;
  if (when.is_never()) return;
  table_.hot(slot).set(connection_flag::deadline_armed);
  timed_ = true;
  table_.deadlines().arm(slot, when.when(), now_);
}

/// A deadline of now + timeout has come up. A young connection isn't armed yet.
void loop_base::deadline_moved(std::uint32_t slot, nanoseconds timeout) noexcept {
  if (!table_.hot(slot).has(connection_flag::grown) || timeout.count() == 0) [[likely]]
    return;
  if (table_.hot(slot).has(connection_flag::deadline_armed)) {
    table_.deadlines().arm_earlier(slot, now_ + timeout.count());
  } else {
    arm_deadline(slot);
  }
}

/// Those who have lived on, or are too many, get their deadlines.
void loop_base::end_young() noexcept {
  bool too_many = young_.full();
  for (; !young_.empty(); young_.drop_oldest()) {
    const connection_id oldest = young_.oldest();
    hot_entry* const h = table_.find(oldest);
    if (h == nullptr) continue;
    const instant until = table_.cold(oldest.slot).opened + young_time_;
    if (until > now_ && !std::exchange(too_many, false)) {
      young_until_ = until;
      return;
    }
    h->set(connection_flag::grown);
    if (h->state == connection_state::open || h->state == connection_state::draining)
      arm_deadline(oldest.slot);
  }
  young_until_ = deadline::never().when();
}

loop_base::expired loop_base::expire_one() noexcept {
  const std::uint32_t slot = table_.deadlines().take_due(now_);
  if (slot == deadline_wheel::none) return {};
  hot_entry& h = table_.hot(slot);
  h.clear(connection_flag::deadline_armed);
  expiry next = next_expiry(slot);
  if (completes_ && next.when.passed(now_)) {
    send_queued(slot);
    next = next_expiry(slot);
  }
  if (next.cause == close_cause::write_stall && next.when.passed(now_)) {
    // The kernel tells of room when a third of its buffer is free. That may be megabytes, of which
    // a slow reader has taken some long before.
    const instant sent = now_ - std::min(stream_socket::sent_ago(h.fd), nanoseconds(now_)).count();
    h.last_activity = std::max(h.last_activity, sent);
    if (h.state == connection_state::open) table_.cold(slot).since = sent;
    next = next_expiry(slot);
  }
  if (!next.when.passed(now_)) {
    arm_deadline(slot);
    return {.any = true};
  }
  if (next.cause != close_cause::none) {
    doom(slot, next.cause);
    return {.any = true};
  }
  h.set(connection_flag::half_closed_told);
  arm_deadline(slot);
  return {.any = true, .overdue = slot};
}

/// On_end has left it open, or nothing is read: its peer may have ended.
void loop_base::half_close(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  if (h.state != connection_state::open ||
      !h.has(connection_flag::peer_ended | connection_flag::end_unread |
             connection_flag::end_seen) ||
      h.has(connection_flag::shut_wanted | connection_flag::half_closed))
    return;
  h.set(connection_flag::half_closed);
  half_closed_.add(slot, now_);
  deadline_moved(slot, options_.half_closed_limit);
}

void loop_base::no_longer_half_closed(std::uint32_t slot, hot_entry& h) noexcept {
  if (!h.has(connection_flag::half_closed)) return;
  h.clear(connection_flag::half_closed);
  half_closed_.remove(slot);
}

std::optional<half_closed_connection> loop_base::oldest_half_closed() const noexcept {
  const std::uint32_t slot = half_closed_.oldest();
  if (slot == half_closed_list::none) return {};
  return half_closed_connection{table_.id(slot), nanoseconds(now_ - half_closed_.since(slot))};
}

}  // namespace hinge
