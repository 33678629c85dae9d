// The listeners of a loop: armed, paused for want of room or descriptors, detached, buried.

#include <hinge/loop_base.hpp>

#include <cassert>
#include <cerrno>
#include <utility>

namespace hinge {

namespace {

constexpr instant first_back_off = 100'000'000;
constexpr instant longest_back_off = 1'000'000'000;

/// Why a connection is turned away; close_cause::none: it is let in, and counted. `peer` is asked
/// for where the backend doesn't know it; `sources` is null without limits.
close_cause judge(door& d, source_limits* sources, int fd, inet_name& peer, instant now) noexcept {
  if (peer.family == family::none && (d.options.rules != nullptr || sources != nullptr)) {
    const result<address> asked = sockets::peer_of(fd);
    if (!asked) return close_cause::peer_reset;
    peer = asked->inet();
  }
  if (!d.permits(peer)) return close_cause::denied;
  if (d.full()) return close_cause::listener_full;
  if (sources != nullptr) {
    const source_limits::verdict found = sources->enter(peer, now);
    if (found == source_limits::verdict::too_many) return close_cause::source_full;
    if (found == source_limits::verdict::too_fast) return close_cause::source_rate;
  }
  // Last, so that who is turned away anyway takes nothing of it.
  if (!d.pace.take(now, d.pace_full_at)) {
    if (sources != nullptr) sources->leave(peer);
    return close_cause::listener_rate;
  }
  ++d.connections;
  return close_cause::none;
}

}  // namespace

result<std::size_t> loop_base::listen(listener opened) noexcept {
  if (wake_ == nullptr || stopping_) return fail("listen", "the loop is not open", EINVAL);
  if (doors_.size() == max_listeners)
    return fail("listen", "a loop has at most 64 listeners", ENOSPC);
  doors_.push_back({.socket = std::move(opened)});
  doors_changed_ = attention_ = true;
  return doors_.size() - 1;
}

result<std::size_t> loop_base::listen(const address& where,
                                      const listener_options& options) noexcept {
  result<listener> opened = listener::open(where, options);
  if (!opened) return fail(opened);
  return listen(std::move(*opened));
}

void loop_base::set_door(std::size_t index, const door_options& options) noexcept {
  assert(owner_ == std::thread::id{} || in_loop_thread());
  assert(index < doors_.size());
  door& d = doors_[index];
  if (options.new_connections != d.options.new_connections) {
    d.pace = rate_limit(options.new_connections);
    d.pace_full_at = 0;
  }
  d.options = options;
  const bool counted_before = gated_;
  gated_ = options_.source.limits();
  for (const door& each : doors_) gated_ = gated_ || each.options.limits();
  watchful_ = stopping_ || gated_ || recovering_doors_ != 0;
  if (!gated_ || counted_before) return;
  // Those that came before anybody was counted.
  for (std::uint32_t slot = 0; slot < table_.touched(); ++slot) {
    hot_entry& h = table_.hot(slot);
    const bool there = h.state != connection_state::free && h.state != connection_state::detaching;
    if (!there || h.has(connection_flag::counted)) continue;
    h.set(connection_flag::counted);
    ++doors_[h.listener].connections;
  }
}

/// A connection came while the loop stops, on a listener that had run out, or where not everybody
/// is let in. Returns its slot, or no_slot: it is closed already, and counted.
std::uint32_t loop_base::admit(std::size_t index, int fd, inet_name peer) noexcept {
  door& d = doors_[index];
  close_cause why = close_cause::none;
  ++counters_.accepted;
  if (!stopping_) {
    accept_works_again(d);
    source_limits* const sources = options_.source.limits() ? &sources_ : nullptr;
    if (gated_) why = judge(d, sources, fd, peer, now_);
    if (why == close_cause::none) {
      assert(table_.available() != 0);
      const std::uint32_t slot = table_.insert(fd, static_cast<std::uint16_t>(index), peer, now_);
      if (gated_) table_.hot(slot).set(connection_flag::counted);
      return slot;
    }
    ++counters_.closed[static_cast<std::size_t>(why)];
    if (options_.reset_turned_away) sockets::reset_on_close(fd);
  } else {
    ++counters_.shed;
  }
  close_descriptor(fd, completes_);
  return connection_table::no_slot;
}

/// A counted connection has ended.
void loop_base::left(std::uint32_t slot) noexcept {
  --doors_[table_.hot(slot).listener].connections;
  if (options_.source.limits()) sources_.leave(table_.cold(slot).peer);
}

/// Brings each listener to the state that it should be in: accepting, or not, or detached.
void loop_base::arm_doors(std::uint32_t room) noexcept {
  doors_changed_ = false;
  if (room == 0 && !doors_paused_) ++counters_.full_pauses;
  doors_paused_ = room == 0;
  for (std::size_t i = 0; i < doors_.size(); ++i) {
    door& d = doors_[i];
    // A descriptor has become free, or the back-off is over.
    if (d.exhausted && !d.closing && d.retry_at <= now_) {
      d.exhausted = false;
      --exhausted_doors_;
    }
    const bool wanted = room != 0 && !d.exhausted && !d.closing;
    if (d.closing ? !d.detach_due : wanted == d.armed) continue;
    if (changes_.room() == 0) {
      doors_changed_ = true;
      return;
    }
    const operation what = d.detach_due ? operation::detach
                           : wanted     ? operation::accept
                                        : operation::stop_accept;
    d.armed = wanted;
    d.detach_due = false;
    const token subject(role::listener, static_cast<std::uint32_t>(i), 0);
    changes_.add({.subject = subject, .fd = d.socket.fd(), .what = what});
  }
}

bool loop_base::accept_failed(std::size_t index, int code) noexcept {
  door& d = doors_[index];
  if (d.closing) return false;
  const accept_class failed = classify_accept_error(-code);
  if (failed == accept_class::retry || failed == accept_class::drained) {
    ++counters_.accept_retries;
    return false;
  }
  if (failed != accept_class::dead) return pause_door(d, failed);
  bury_door(d, code);
  return true;
}

bool loop_base::arming_failed(std::size_t index, int code) noexcept {
  door& d = doors_[index];
  if (d.closing) return false;
  const accept_class failed = classify_accept_error(-code);
  if (failed == accept_class::exhausted || code == -ENOSPC) return pause_door(d, failed);
  bury_door(d, code);
  return true;
}

/// Until a descriptor is freed in this process, or the back-off is over. True: an episode
/// begins.
bool loop_base::pause_door(door& d, accept_class failed) noexcept {
  ++counters_.accept_exhausted;
  if (failed == accept_class::unknown) ++counters_.accept_unknown;
  d.armed = false;
  const bool began = d.back_off == 0;
  watchful_ = true;
  if (began && recovering_doors_++ == 0) descriptor_waiters::add(this, descriptor_freed_elsewhere);
  d.back_off = began ? first_back_off : std::min(d.back_off * 2, longest_back_off);
  // A descriptor that was closed in this very turn, before the listener is heard, counts already.
  const bool freed = counters_.accepted - table_.size() != ended_before_;
  d.retry_at = freed ? now_ : now_ + d.back_off;
  if (!d.exhausted) ++exhausted_doors_;
  d.exhausted = true;
  attention_ = true;
  // Running out again within twice the longest pause is the same episode still.
  const bool tell = d.told_at == 0 || now_ - d.told_at > 2 * longest_back_off;
  d.told_at = now_;
  return tell;
}

void loop_base::bury_door(door& d, int code) noexcept {
  ++counters_.listeners_died;
  d.armed = false;
  d.closing = true;
  accept_works_again(d);
  // With EBADF and ENOTSOCK the number is somebody else's by now.
  if (code == -EBADF || code == -ENOTSOCK) {
    (void)d.socket.release();
  } else {
    d.socket.close();
  }
}

void loop_base::accept_works_again(door& opened) noexcept {
  if (opened.back_off == 0) return;
  opened.back_off = 0;
  // A connection that the backend still held may come while the listener waits.
  if (std::exchange(opened.exhausted, false)) {
    --exhausted_doors_;
    doors_changed_ = attention_ = true;
  }
  if (--recovering_doors_ != 0) return;
  watchful_ = stopping_ || gated_;
  descriptor_waiters::remove(this);
}

/// Somewhere in this process loops wait for a descriptor; perhaps this one too.
void loop_base::descriptor_freed_slowly() noexcept {
  descriptor_freed_here();
  descriptor_waiters::notify(this);
}

/// Any thread.
void loop_base::descriptor_freed_elsewhere(const void* self) noexcept {
  const auto& waiting = *static_cast<const loop_base*>(self);
  waiting.freed_elsewhere_.store(true, std::memory_order_release);
  waiting.wake();
}

void loop_base::descriptor_freed_here() noexcept {
  for (door& d : doors_) d.retry_at = now_;
}

/// Every listener is taken from the backend first and closed when that is done (rule 10).
void loop_base::close_doors() noexcept {
  for (std::size_t i = 0; i < doors_.size(); ++i) {
    door& d = doors_[i];
    if (std::exchange(d.closing, true)) continue;
    accept_works_again(d);
    d.armed = false;
    d.detach_due = true;
    ++detaching_doors_;
  }
  doors_changed_ = attention_ = true;
}

bool loop_base::failure_passes(const event& e) noexcept {
  const auto failed = static_cast<operation>(e.buffer);
  if (failed != operation::detach) return sockets::would_block(e.result) && ask_again(e, failed);
  if (e.subject.what() == role::listener) {
    door_detached(e.subject.slot());
  } else {
    slot_detached(e.subject.slot(), detach_result::released);
  }
  return true;
}

bool loop_base::ask_again(const event& e, operation failed) noexcept {
  if (e.subject.what() == role::listener) {
    doors_[e.subject.slot()].armed = false;
    doors_changed_ = attention_ = true;
    return true;
  }
  hot_entry& h = table_.hot(e.subject.slot());
  if (!completes_) h.clear(connection_flag::attached);
  h.clear(failed == operation::send      ? connection_flag::sending | connection_flag::closing
          : failed == operation::receive ? connection_flag::receiving | connection_flag::watching
                                         : connection_flag::stopping);
  list_changed(e.subject.slot(), h);
  return true;
}

void loop_base::door_detached(std::size_t index) noexcept {
  doors_[index].socket.close();
  --detaching_doors_;
}

}  // namespace hinge
