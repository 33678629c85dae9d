#include <hinge/door.hpp>

#include <hinge/accept_error.hpp>
#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "sys.hpp"

namespace hinge {

namespace {

constexpr instant first_back_off = 100'000'000;
constexpr instant longest_back_off = 1'000'000'000;
/// An episode is over when a listener has accepted for so long, and nothing has failed.
constexpr instant quiet = 2 * longest_back_off;
/// The number of a listener's descriptor isn't given back while another thread makes use of it.
std::mutex closing_doors;

constexpr close_cause cause_of(source_limits::verdict found) noexcept {
  constexpr close_cause causes[] = {close_cause::none, close_cause::source_full,
                                    close_cause::source_rate, close_cause::network_full,
                                    close_cause::network_rate};
  return causes[static_cast<std::size_t>(found)];
}

}  // namespace

unique_fd door::duplicate() const noexcept {
  const std::lock_guard lock(closing_doors);
  return unique_fd(socket_ ? sys::fcntl(socket_.fd(), F_DUPFD_CLOEXEC, 0) : -EBADF);
}

void door::set(const door_options& options) noexcept {
  if (options.new_connections != options_.new_connections) {
    pace_ = rate_limit(options.new_connections);
    pace_full_at_ = 0;
  }
  options_ = options;
}

close_cause door::admit(source_limits& sources, int fd, inet_name& peer, instant now) noexcept {
  if (peer.family == family::none && (options_.rules != nullptr || sources.any())) {
    const result<address> asked = sockets::peer_of(fd);
    if (!asked) return close_cause::peer_reset;
    peer = asked->inet();
  }
  if (!permits(peer)) return close_cause::denied;
  if (full()) return close_cause::listener_full;
  if (waits_enough()) return close_cause::pending_full;
  const source_limits::verdict found = sources.enter(peer, now);
  if (found != source_limits::verdict::admitted) return cause_of(found);
  // Last, so that who is turned away anyway takes nothing of it.
  if (!pace_.take(now, pace_full_at_)) {
    sources.leave(peer);
    return close_cause::listener_rate;
  }
  count(true);
  return close_cause::none;
}

// --- the state -----------------------------------------------------------------------------------

std::optional<operation> door::next(bool room, instant now) noexcept {
  // A descriptor has become free, or the back-off is over.
  if (state_ == door_state::exhausted && retry_at_ <= now) state_ = door_state::waiting;
  if (state_ == door_state::waiting && room) {
    if (recovering()) quiet_since_ = now;
    return operation::accept;
  }
  if (state_ == door_state::armed && !room) return operation::stop_accept;
  if (state_ == door_state::closing) return operation::detach;
  if (state_ == door_state::emptying && (!room || deadline::at(retry_at_).is_never())) {
    // An accept that finds somebody takes room; without, it is enough to know that nobody waits.
    if (!room && socket_.waiting() == 0) die();
    retry_at_ = room ? now : deadline::never().when();
  }
  return {};
}

void door::asked(operation what) noexcept {
  state_ = what == operation::accept   ? door_state::armed
           : what == operation::detach ? door_state::detaching
                                       : door_state::waiting;
}

door_failure door::fail(int code, bool arming, instant now, bool freed) noexcept {
  if (state_ > door_state::exhausted) return door_failure::late;
  const accept_class failed = classify_accept_error(-code);
  const bool passes = failed == accept_class::retry || failed == accept_class::drained;
  if (passes && !arming) return door_failure::passed;
  const bool unknown = failed == accept_class::unknown && (!arming || code == -ENOSPC);
  if (failed == accept_class::exhausted || unknown) return pause(now, freed);
  bury(code);
  return door_failure::died;
}

/// Until a descriptor is freed in this process, or the back-off is over.
door_failure door::pause(instant now, bool freed) noexcept {
  back_off_ = recovering() ? std::min(back_off_ * 2, longest_back_off) : first_back_off;
  retry_at_ = freed ? now : now + back_off_;
  freed_by_ = freed ? want_end::freed_here : want_end::retry;
  state_ = door_state::exhausted;
  quiet_since_ = now;
  if (episode_.failures++ != 0) return door_failure::paused;
  episode_.began = now;
  return door_failure::began;
}

void door::bury(int code) noexcept {
  // With EBADF and ENOTSOCK the number is somebody else's by now; else the backend lets go first.
  const bool lost = code == -EBADF || code == -ENOTSOCK;
  if (lost) {
    const std::lock_guard lock(closing_doors);
    (void)socket_.release();
  }
  lost ? die() : end(door_state::closing);
}

void door::accepted(instant now) noexcept {
  if (!recovering()) return;
  back_off_ = 0;
  sheds_ = false;
  episode_.length = nanoseconds(now - episode_.began);
  episode_.ended_by = freed_by_;
  // A connection that the backend still held may come while the listener waits.
  if (state_ == door_state::exhausted) state_ = door_state::waiting;
}

void door::descriptor_freed(instant now, want_end by) noexcept {
  if (!recovering()) return;
  retry_at_ = now;
  freed_by_ = by;
}

void door::shed_next(bool room, instant now) noexcept {
  sheds_ = true;
  if (std::exchange(somebody_shed_, false) || room) retry_at_ = now;
}

void door::shed(instant now) noexcept {
  if (!recovering() || !sheds_) return;
  somebody_shed_ = true;
  back_off_ = first_back_off;
  retry_at_ = now;
}

deadline door::next_moment() const noexcept {
  if (state_ == door_state::exhausted || state_ == door_state::emptying)
    return deadline::at(retry_at_);
  const bool waits = recovering() && state_ != door_state::armed;
  return in_episode() && !waits ? deadline::at(quiet_since_ + quiet) : deadline::never();
}

bool door::rests(instant now) const noexcept {
  return recovering() && state_ == door_state::armed && now - quiet_since_ >= quiet;
}

void door::rested(bool room, instant now) noexcept {
  if (room) {
    accepted(quiet_since_);
  } else {
    quiet_since_ = now;
  }
}

std::optional<door_episode> door::take_episode(instant now) noexcept {
  if (!in_episode() || recovering() || now - quiet_since_ < quiet) return {};
  return std::exchange(episode_, {});
}

void door::retire(door_end tell) noexcept {
  tell_ = std::move(tell);
  if (state_ == door_state::dead) die();
}

void door::close(door_exit how) noexcept {
  if (state_ <= door_state::exhausted) {
    exit_ = how;
    // Nobody new comes by a path while the queue is emptied.
    if (how == door_exit::when_empty) socket_.leave_path();
    if (how == door_exit::left_to_others) socket_.keep_path();
    return end(door_state::closing);
  }
  if (how == door_exit::at_once) exit_ = how;
  if (state_ == door_state::emptying && exit_ == door_exit::at_once) die();
}

/// It accepts no more, nor waits for anything.
void door::end(door_state as) noexcept {
  state_ = as;
  back_off_ = 0;
  episode_ = {};
}

void door::detached() noexcept {
  if (exit_ == door_exit::at_once) return die();
  state_ = door_state::emptying;
  retry_at_ = 0;
}

void door::emptied() noexcept { die(); }

/// Whoever waits for that hears of it when the port is free.
void door::die() noexcept {
  end(door_state::dead);
  {
    const std::lock_guard lock(closing_doors);
    socket_.close();
  }
  if (tell_) std::exchange(tell_, {})(drained_);
}

}  // namespace hinge
