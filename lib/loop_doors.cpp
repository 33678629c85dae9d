// The listeners of a loop: armed, paused for want of room or descriptors, detached, buried.

#include <hinge/accept_error.hpp>
#include <hinge/loop_base.hpp>

#include <cassert>
#include <cerrno>
#include <optional>
#include <utility>

#include "peer_name.hpp"
#include "stream_socket.hpp"

namespace hinge {

/// Whatever can fail when it takes so many more.
result<void> loop_base::expect_listeners(std::size_t more, family of) noexcept {
  if (wake_ == nullptr || stopping_) return fail("listen", "the loop is not open", EINVAL);
  if (more > door_table::most - doors_.size())
    return fail("listen", "a loop has at most 64 listeners", ENOSPC);
  if (options_.on_exhaustion == exhaustion::queue) return {};
  return doors_.reserve().open(of);
}

result<std::size_t> loop_base::listen(listener opened) noexcept {
  if (result<void> fine = expect_listeners(1, opened.local().family()); !fine) return fail(fine);
  doors_.add(std::move(opened));
  attention_ = true;
  return doors_.size() - 1;
}

result<std::size_t> loop_base::listen(const address& where,
                                      const listener_options& options) noexcept {
  result<listener> opened = listener::open(where, options);
  if (!opened) return fail(opened);
  return listen(std::move(*opened));
}

void loop_base::set_path_file(std::size_t index, const path_identity& file) noexcept {
  assert(owner_ == std::thread::id{} || in_loop_thread());
  doors_[index].set_path_file(file);
}

void loop_base::set_door(std::size_t index, const door_options& options) noexcept {
  assert(owner_ == std::thread::id{} || in_loop_thread());
  assert(index < doors_.size());
  doors_[index].set(options);
  const bool counted_before = gated_;
  gated_ = sources_.any() || handover_.give != nullptr;
  for (const door& each : doors_) gated_ = gated_ || each.options().limits();
  doors_moved();
  if (!gated_ || counted_before) return;
  // Those that came before anybody was counted.
  for (std::uint32_t slot = 0; slot < table_.touched(); ++slot) {
    hot_entry& h = table_.hot(slot);
    const bool there = h.state != connection_state::free && h.state != connection_state::detaching;
    if (!there || h.has(connection_flag::counted)) continue;
    const bool pending = h.bytes_in == 0;
    h.set(connection_flag::counted | (pending ? connection_flag::pending : 0));
    doors_[h.listener].count(pending);
  }
}

/// A connection came while the loop stops, on a listener that had run out, or where not everybody
/// is let in. Returns its slot, or no_slot: it is closed already, and counted.
std::uint32_t loop_base::admit(std::size_t index, int fd, inet_name peer) noexcept {
  close_cause why = close_cause::none;
  ++counters_.accepted;
  if (!stopping_) {
    if (doors_.reserve().is_lent()) {
      // Where nobody is shed the connection keeps the reserve's descriptor.
      const bool back = doors_.reserve().take_back();
      if (!back && (options_.on_exhaustion == exhaustion::shed_reset || doors_[index].sheds())) {
        shed(index, fd);
        return connection_table::no_slot;
      }
      doors_moved();
    }
    if (doors_[index].recovering()) {
      doors_.accepted(index, now_);
      doors_moved();
    }
    if (doors_[index].retires()) doors_[index].count_drained();
    if (meter_.measures()) doors_[index].meter().accepted_in(counters_.turns, meter_.last_work);
    if (gated_) why = doors_[index].admit(sources_, fd, peer, now_);
    if (why == close_cause::none && handover_.give != nullptr)
      return give_away(doors_[index], index, fd, peer);
    if (why == close_cause::none) {
      assert(table_.available() != 0);
      const std::uint32_t slot = table_.insert(fd, static_cast<std::uint16_t>(index), peer, now_);
      if (gated_) table_.hot(slot).set(connection_flag::counted | connection_flag::pending);
      return slot;
    }
    ++counters_.closed[static_cast<std::size_t>(why)];
    HINGE_PROBE5(close, static_cast<std::uint8_t>(why), connection_table::no_slot, fd, 0, 0);
    if (options_.reset_turned_away) sockets::reset_on_close(fd);
  } else {
    ++counters_.shed;
    HINGE_PROBE2(shed, index, fd);
  }
  close_descriptor(fd, completes_);
  return connection_table::no_slot;
}

/// A connection has the descriptor that was in reserve, and there is no other one. Nothing is under
/// way on it, and it is closed at once, so that the next one can have its descriptor.
void loop_base::shed([[maybe_unused]] std::size_t index, int fd) noexcept {
  HINGE_PROBE2(shed, index, fd);
  ++counters_.shed;
  ++counters_.shed_exhausted;
  ++ended_before_;  // nothing became free by it
  sockets::reset_on_close(fd);
  sockets::close_unchecked(fd);
  doors_.shed(now_);
  doors_moved();
}

void loop_base::take_part(const handover& in) noexcept {
  handover_ = in;
  gated_ = gated_ || in.give != nullptr;
  doors_moved();
}

void loop_base::accept_at_most(std::uint32_t connections) noexcept {
  options_.accepts_per_turn = connections;
  if ((options_.accepts_per_turn == 0) != doors_paused_) attention_ = true;
}

/// Let in, and somebody else's: nothing counts it here any more.
std::uint32_t loop_base::give_away(door& d, std::size_t index, int fd, inet_name peer) noexcept {
  d.leave(true);
  sources_.leave(peer);
  if (handover_.give(handover_.whom,
                     {.peer = peer, .fd = fd, .listener = static_cast<std::uint16_t>(index)})) {
    ++counters_.handed_over;
  } else {
    ++counters_.shed;
    close_descriptor(fd, completes_);
  }
  return connection_table::no_slot;
}

/// A counted connection has ended.
void loop_base::left(std::uint32_t slot) noexcept {
  hot_entry& h = table_.hot(slot);
  doors_[h.listener].leave(h.has(connection_flag::pending));
  h.clear(connection_flag::pending);
  sources_.leave(table_.cold(slot).peer);
}

/// It has sent bytes. True: for the first time, and it was pending.
bool loop_base::spoke(hot_entry& h) noexcept {
  if (!h.has(connection_flag::pending)) return false;
  h.clear(connection_flag::pending);
  doors_[h.listener].speak();
  return true;
}

int loop_base::receive_first(hot_entry& h, std::span<std::byte> into) noexcept {
  const int count = sockets::receive(h.fd, into);
  if (count > 0) spoke(h);
  return count;
}

/// After a door has changed its state.
void loop_base::doors_moved() noexcept {
  attention_ = attention_ || doors_.changed() || doors_.episodes() + doors_.emptying() != 0;
  watchful_ = stopping_ || gated_ || doors_.recovering() + doors_.retiring() != 0 ||
              doors_.reserve().is_lent() || meter_.measures();
  const bool waits = doors_.recovering() != 0;
  if (!stopping_) stop_until_ = doors_.next_moment();
  if (std::exchange(waits_for_descriptor_, waits) == waits) return;
  if (waits_for_descriptor_) {
    descriptor_waiters::add(this, descriptor_freed_elsewhere);
  } else {
    descriptor_waiters::remove(this);
  }
}

/// Brings each listener to the state that it should be in: accepting, or not, or detached.
void loop_base::arm_doors(bool room) noexcept {
  if (!room && !doors_paused_) ++counters_.full_pauses;
  doors_paused_ = !room;
  doors_.arm(changes_, room, now_);
  doors_moved();
}

door_failure loop_base::accept_failed(std::size_t index, int code, bool arming) noexcept {
  // A descriptor that was closed in this very turn, before the listener is heard, counts already.
  const bool freed = counters_.accepted - table_.size() != ended_before_;
  const door_failure failed = doors_.fail(index, code, arming, now_, freed);
  if (failed == door_failure::passed)
    ++(sockets::would_block(code) ? counters_.accept_misses : counters_.accept_retries);
  if (failed == door_failure::died) ++counters_.listeners_died;
  if (failed == door_failure::paused || failed == door_failure::began) {
    ++counters_.accept_exhausted;
    if (failed == door_failure::began) ++counters_.accept_episodes;
    if (classify_accept_error(-code) == accept_class::unknown) ++counters_.accept_unknown;
  }
  doors_moved();
  return failed;
}

/// Somewhere in this process loops wait for a descriptor; perhaps this one too.
void loop_base::descriptor_freed_slowly() noexcept {
  doors_.descriptor_freed(now_, want_end::freed_here);
  descriptor_waiters::notify(this);
}

/// Any thread.
void loop_base::descriptor_freed_elsewhere(const void* self) noexcept {
  const auto& waiting = *static_cast<const loop_base*>(self);
  waiting.freed_elsewhere_.store(true, std::memory_order_release);
  waiting.wake();
}

/// Every listener is taken from the backend first and closed when that is done (rule 10).
void loop_base::close_doors() noexcept {
  doors_.close();
  doors_moved();
}

void loop_base::close_listener(std::size_t index, door_exit how) noexcept {
  assert(owner_ == std::thread::id{} || in_loop_thread());
  doors_.close(index, how);
  doors_moved();
}

void loop_base::door_detached(std::size_t index) noexcept {
  doors_.detached(index);
  doors_moved();
}

/// The next connection that another loop has accepted, or one of a listener that is being emptied,
/// if there is room for it, and at most so many `queued` ones. Returns its slot, or no_slot. What a
/// loop that stops hasn't taken is the giver's again.
std::uint32_t loop_base::next_handed(std::uint32_t& queued) noexcept {
  handed_connection next;
  if (!stopping_ && handover_.inbox != nullptr && handover_.inbox->take(next)) {
    ++counters_.accepted;
    assert(table_.available() != 0);
    const std::uint32_t slot = table_.insert(next.fd, next.listener, next.peer, now_);
    table_.hot(slot).set(connection_flag::counted);
    return slot;
  }
  while (queued != 0) {
    --queued;
    const std::optional<std::size_t> index = doors_.to_empty(now_);
    if (!index || table_.available() == 0) break;
    sockaddr_storage from;
    const int fd = stream_socket::accept_one(doors_[*index].socket().fd(), from);
    if (fd < 0) {
      if (doors_.empty_failed(*index, fd, now_)) ++counters_.accept_retries;
      continue;
    }
    inet_name peer = {};
    compact(from, peer);
    if (const std::uint32_t slot = admit(*index, fd, peer); slot != connection_table::no_slot)
      return slot;
  }
  return connection_table::no_slot;
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
    door_ended(e.subject.slot());
    return true;
  }
  hot_entry& h = table_.hot(e.subject.slot());
  if (!completes_ && failed != operation::send) h.clear(connection_flag::attached);
  h.clear(failed == operation::send      ? connection_flag::sending | connection_flag::closing
          : failed == operation::receive ? connection_flag::receiving | connection_flag::watching
                                         : connection_flag::stopping);
  list_changed(e.subject.slot(), h);
  return true;
}

}  // namespace hinge
