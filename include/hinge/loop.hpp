// loop<Poller, Handler>: one thread, one poller, one table.
#pragma once

#include <hinge/accept_error.hpp>
#include <hinge/connection.hpp>
#include <hinge/handler.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/poller.hpp>
#include <hinge/probe.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace hinge {

/// Accepts, reads, and tells the handler. Used from one thread, but for wake() and post().
template <poller Poller, handler Handler>
class loop : public loop_base {
public:
  using payload = typename detail::payload_of<Handler>::type;
  static_assert(detail::callbacks_fit<Handler>);

  loop() noexcept(std::is_nothrow_default_constructible_v<Handler>) = default;
  explicit loop(Handler handler) : handler_(std::move(handler)) {}
  /// With a poller that can be moved, as hinge's own.
  template <std::same_as<Poller> Movable>
  loop(Movable poller, Handler handler)
      : poller_(std::move(poller)), handler_(std::move(handler)) {}
  ~loop() { owner_ = {}, close_all(); }

  /// Opens the poller and the table. Once, before anything else. Errors: EINVAL with the option's
  /// name; ENOMEM with what it was for; whatever the poller's open says.
  result<void> open(const loop_options& options = {}) noexcept;

  /// Turns until stop(), or until drain() has come to its end. 0, or -errno when the poller broke.
  int run() noexcept {
    while (!finished())
      if (const int turned = turn_inline(deadline::never()); turned < 0) return turned;
    return 0;
  }

  /// One turn: waits until something happens, at most until `until`, and deals with all of it.
  /// Returns how many events there were, or -errno when the poller broke.
  int turn(deadline until = deadline::never()) noexcept { return turn_inline(until); }

  /// Calls on_drain for each open connection right here, and goes on; winding_down() from then on.
  /// So there is room for those who wait while its listeners retire.
  void wind_down() noexcept;
  /// Stops accepting, closes the listeners, and calls on_drain for each open connection right here;
  /// what is open after `timeout` (0: at once) is closed with cause `drain`. Then run() returns.
  void drain(nanoseconds timeout) noexcept;

  Handler& handler() noexcept { return handler_; }
  Poller& poller() noexcept { return poller_; }

private:
  static constexpr unsigned expiries_per_turn = 256;
  static constexpr bool has_payload = !std::is_same_v<payload, detail::no_payload>;

  int turn_inline(deadline until) noexcept;
  void dispatch(const event& e) noexcept;
  void dispatch_connection(const event& e) noexcept;
  void accepted(const event& e) noexcept;
  std::uint32_t accepted_unusually(const event& e) noexcept;
  void begin(std::uint32_t slot) noexcept;
  void take_handed() noexcept;
  void first_turn(connection_id id) noexcept;
  void door_failed(std::size_t index, int code, bool arming) noexcept;
  void ready(std::uint32_t slot, hot_entry& h, const event& e) noexcept;
  void read(std::uint32_t slot) noexcept;
  void received(std::uint32_t slot, hot_entry& h, const event& e) noexcept;
  /// Out of line: a reader would save the handler's registers for each event.
  [[gnu::noinline]] void deliver_read(std::uint32_t slot, std::span<std::byte> bytes) noexcept {
    handler_.on_data(handle(slot), bytes);
  }
  void deliver(std::uint32_t slot, std::span<std::byte> bytes, std::uint16_t buffer) noexcept;
  void deliver_held(std::uint32_t slot) noexcept;
  void peer_ended(std::uint32_t slot) noexcept;
  void serve_ready() noexcept;
  void woken() noexcept;
  void expire() noexcept {
    if (!timer_due()) return;
    end_young();
    for (unsigned i = 0; i < expiries_per_turn; ++i) {
      const expired next = expire_one();
      if (!next.any) break;
      if constexpr (requires { handler_.on_half_closed(connection{}, nanoseconds{}); })
        if (const std::uint32_t slot = next.overdue; slot != connection_table::no_slot)
          handler_.on_half_closed(handle(slot), nanoseconds(now_ - half_closed_.since(slot)));
      settle_seldom();
    }
    timed_ = !young_.empty() || !table_.deadlines().empty();
  }
  /// A drain has had its time, an episode of exhaustion may be over, a listener is to be emptied.
  void look_up() noexcept {
    if (stopping_) return stop();
    detail::tell_recovered(handler_, doors_, now_);
    if (doors_.emptying() != 0) [[unlikely]]
      take_handed();
    doors_moved();
  }
  void close_all() noexcept;
  void end(std::uint32_t slot) noexcept;
  /// Inline where most connections end; elsewhere out of the way of those who go on.
  [[gnu::always_inline]] void settle() noexcept {
    while (!ending_.empty()) end(ending_.take());
  }
  void settle_seldom() noexcept {
    if (!ending_.empty()) [[unlikely]]
      settle_apart();
  }
  [[gnu::noinline]] void settle_apart() noexcept { settle(); }
  void writable(std::uint32_t slot, bool owed) noexcept {
    if constexpr (requires { handler_.on_writable(connection{}); })
      if (owed) handler_.on_writable(handle(slot));
    settle_seldom();
  }
  connection handle(std::uint32_t slot) noexcept { return {*this, table_.id(slot)}; }
  bool alive(connection_id id) const noexcept {
    return table_.hot(id.slot).generation == id.generation;
  }

  Poller poller_;
  Handler handler_;
  raw_array<payload> payload_array_;
};

template <poller P, handler H>
loop(P, H) -> loop<P, H>;

template <poller P, handler H>
result<void> loop<P, H>::open(const loop_options& options) noexcept {
  const result<loop_options> checked = options.resolved();
  if (!checked) return fail(checked);
  if (result<void> opened = poller_.open(checked->poller_part()); !opened) return opened;
  // A turn that can't wait tells the poller's time, which is virtual in a simulator.
  turn_terms terms;
  event none[least_event_room];
  if (const int turned = poller_.turn({}, none, terms); turned < 0)
    return fail("open loop", "the first turn of the poller", -turned);
  now_ = terms.now;
  const auto wake = [](const void* self) noexcept { static_cast<const P*>(self)->wake(); };
  result<void> opened = open_base(*checked, poller_.limits(), poller_.completes(), &poller_, wake);
  if (!opened) return opened;
  if (!payload_array_.open(has_payload ? table_.capacity() : 0)) {
    wake_ = nullptr;
    return fail("open loop", "memory for the payloads", ENOMEM);
  }
  payloads_ = payload_array_.data();
  payload_bytes_ = has_payload ? sizeof(payload) : 0;
  return {};
}

template <poller P, handler H>
inline int loop<P, H>::turn_inline(deadline until) noexcept {
  settle_seldom();
  turn_terms terms;
  const std::span<const change> changes = prepare(terms, until, poller_.completes());
  event* const events = events_.data();
  const int count =
      poller_.turn(changes, {events, options_.events_per_turn + changes.size()}, terms);
  now_ = terms.now;
  ended_before_ = counters_.accepted - table_.size();
  ++counters_.turns;
  if (poller_.completes()) changes_.clear();
  if (count < 0) [[unlikely]]
    return count;
  if (std::exchange(closes_sent_, false)) descriptor_freed();
  counters_.events += static_cast<std::uint32_t>(count);
  for (const event *e = events, *end = events + count; e != end; ++e)
    e->kind == event_kind::accepted ? accepted(*e) : dispatch(*e);
  if (poller_.completes() ? timer_due() : timed_) [[unlikely]]
    expire();
  if (attention_) [[unlikely]] {
    serve_ready();
    if (stop_until_.passed(now_)) [[unlikely]]
      look_up();
    settle_seldom();
  }
  return count;
}

template <poller P, handler H>
void loop<P, H>::dispatch(const event& e) noexcept {
  if (e.subject.what() == role::connection) {
    dispatch_connection(e);
  } else if (e.kind == event_kind::woken) {
    woken();
  } else if (e.kind == event_kind::detached) {
    door_detached(e.subject.slot());
  } else if (e.kind == event_kind::failed && !failure_passes(e)) {
    door_failed(e.subject.slot(), e.result, true);
  }
}

template <poller P, handler H>
void loop<P, H>::dispatch_connection(const event& e) noexcept {
  const std::uint32_t slot = e.subject.slot();
  hot_entry* const h = table_.find({slot, e.subject.generation()});
  if (h == nullptr) [[unlikely]]
    return stale(e);
  switch (e.kind) {
    case event_kind::readable:
    case event_kind::writable:
      ready(slot, *h, e);
      break;
    case event_kind::received:
      received(slot, *h, e);
      break;
    case event_kind::sent:
      writable(slot, sent(slot, e.result));
      break;
    case event_kind::failed:
      if (!failure_passes(e)) fail_connection(slot, e.result);
      break;
    case event_kind::detached:
      if (slot_detached(slot, e.result)) end(slot);
      break;
    default:
      break;
  }
  settle_seldom();
}

template <poller P, handler H>
inline void loop<P, H>::accepted(const event& e) noexcept {
  std::uint32_t slot;
  // One comparison for both: no more to come, or more to be looked at.
  if (e.result < 0 || e.more <= static_cast<std::uint8_t>(watchful_)) [[unlikely]] {
    slot = accepted_unusually(e);
    if (slot == connection_table::no_slot) return;
  } else {
    ++counters_.accepted;
    slot = table_.insert(e.result, static_cast<std::uint16_t>(e.subject.slot()), peers_[e.buffer],
                         now_);
  }
  HINGE_PROBE3(accept, e.subject.slot(), slot, e.result);
  begin(slot);
}

template <poller P, handler H>
[[gnu::always_inline]] inline void loop<P, H>::begin(std::uint32_t slot) noexcept {
  if constexpr (has_payload) std::construct_at(payload_array_.data() + slot);
  const connection_id id = table_.id(slot);
  if constexpr (requires { handler_.on_accept(connection{}); }) {
    handler_.on_accept(connection{*this, id});
    settle();
    if (!alive(id)) return;
  }
  first_turn(id);
}

/// What another loop has accepted for this one, and who waits in the queues of listeners that are
/// to be closed.
template <poller P, handler H>
[[gnu::noinline]] void loop<P, H>::take_handed() noexcept {
  std::uint32_t queued = options_.accepts_per_turn;
  for (;;) {
    const std::uint32_t slot = next_handed(queued);
    if (slot == connection_table::no_slot) break;
    begin(slot);
  }
}

/// Whatever is more than a connection on a listener that works and lets in everybody.
template <poller P, handler H>
std::uint32_t loop<P, H>::accepted_unusually(const event& e) noexcept {
  const std::size_t index = e.subject.slot();
  if (e.more == 0) door_ended(index);
  if (e.result >= 0) return admit(index, e.result, peers_[e.buffer]);
  door_failed(index, e.result, false);
  return connection_table::no_slot;
}

/// Reads what may be there already; only what is left open after that is told to the backend.
template <poller P, handler H>
[[gnu::always_inline]] inline void loop<P, H>::first_turn(connection_id id) noexcept {
  hot_entry& h = table_.hot(id.slot);
  if (poller_.completes()) {
    receive_again(id.slot, h);
  } else {
    h.set(table_.cold(id.slot).first_read_flags());
    read(id.slot);
    if (!alive(id)) return;
    list_changed(id.slot, h);
  }
  begin_young(id);
}

template <poller P, handler H>
void loop<P, H>::door_failed(std::size_t index, int code, bool arming) noexcept {
  // Who ends its socket from outside has posted before that it retires; a ring may tell in another
  // order.
  if (classify_accept_error(-code) == accept_class::dead) woken();
  [[maybe_unused]] const bool retires = doors_[index].retires();  // and may be shut down by that
  const door_failure failed = accept_failed(index, code, arming);
  const bool began = failed == door_failure::began;
  if constexpr (requires { handler_.on_listener_error(index, code); })
    if (began || (failed == door_failure::died && !retires))
      handler_.on_listener_error(index, code);
  if ((began || failed == door_failure::paused) &&
      detail::sheds(handler_, index, options_.on_exhaustion))
    doors_.shed_next(index, now_);
  detail::tell_recovered(handler_, doors_, now_);  // of the other ones
  settle_seldom();
}

template <poller P, handler H>
void loop<P, H>::serve_ready() noexcept {
  for (std::uint32_t left = ready_.size(); left != 0; --left) {
    const std::uint32_t slot = ready_.take();
    hot_entry& h = table_.hot(slot);
    h.clear(connection_flag::listed_ready);
    if (h.state != connection_state::open && h.state != connection_state::draining) continue;
    if (poller_.completes()) {
      deliver_held(slot);
      continue;
    }
    const connection_id id = table_.id(slot);
    if (h.has(connection_flag::unsent)) writable(slot, flush(slot));
    if (alive(id) && h.has(connection_flag::unread)) read(slot);
  }
}

template <poller P, handler H>
void loop<P, H>::woken() noexcept {
  if (freed_elsewhere_.exchange(false, std::memory_order_acquire))
    doors_.descriptor_freed(now_, want_end::freed_elsewhere);
  // What was given before a task was posted comes before it.
  std::vector<mailbox::function> tasks = mailbox_.take();
  if (handover_.inbox != nullptr) take_handed();
  for (mailbox::function& task : tasks) {
    task();
    settle_seldom();
  }
}

template <poller P, handler H>
void loop<P, H>::wind_down() noexcept {
  winding_down_ = true;
  if constexpr (requires { handler_.on_drain(connection{}); })
    for (std::uint32_t slot = 0; slot < table_.touched(); ++slot)
      if (table_.hot(slot).state == connection_state::open) handler_.on_drain(handle(slot));
}

template <poller P, handler H>
void loop<P, H>::drain(nanoseconds timeout) noexcept {
  if (stopping_) return;
  stopping_ = watchful_ = attention_ = true;
  stop_until_ = deadline::after(now_, timeout);
  close_doors();
  wind_down();
}

template <poller P, handler H>
inline void loop<P, H>::end(std::uint32_t slot) noexcept {
  if constexpr (requires { handler_.on_close(connection{}, close_cause{}); })
    handler_.on_close(handle(slot), table_.hot(slot).cause);
  if constexpr (has_payload) std::destroy_at(payload_array_.data() + slot);
  const hot_entry& h = table_.hot(slot);
  if (h.has(connection_flag::attached)) detail::tell_closing(poller_, h.fd);
  release(slot, poller_.completes());
}

/// Each connection ends with its on_close; no backend that breaks or doesn't let go is waited for.
template <poller P, handler H>
void loop<P, H>::close_all() noexcept {
  if (wake_ == nullptr) return;
  mailbox_.take();  // what they capture may be gone
  stop();
  settle_seldom();
  for (int i = 0; i < 1000 && !finished(); ++i)
    if (turn(deadline::after(now_, std::chrono::milliseconds(10))) < 0) break;
  if (!finished()) abandon();
}

}  // namespace hinge

#include <hinge/loop_reading.hpp>
