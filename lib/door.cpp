#include <hinge/door.hpp>

#include <hinge/accept_error.hpp>
#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>

namespace hinge {

namespace {

constexpr instant first_back_off = 100'000'000;
constexpr instant longest_back_off = 1'000'000'000;

}  // namespace

void door::set(const door_options& options) noexcept {
  if (options.new_connections != options_.new_connections) {
    pace_ = rate_limit(options.new_connections);
    pace_full_at_ = 0;
  }
  options_ = options;
}

close_cause door::admit(source_limits* sources, int fd, inet_name& peer, instant now) noexcept {
  if (peer.family == family::none && (options_.rules != nullptr || sources != nullptr)) {
    const result<address> asked = sockets::peer_of(fd);
    if (!asked) return close_cause::peer_reset;
    peer = asked->inet();
  }
  if (!permits(peer)) return close_cause::denied;
  if (full()) return close_cause::listener_full;
  if (sources != nullptr) {
    const source_limits::verdict found = sources->enter(peer, now);
    if (found == source_limits::verdict::too_many) return close_cause::source_full;
    if (found == source_limits::verdict::too_fast) return close_cause::source_rate;
  }
  // Last, so that who is turned away anyway takes nothing of it.
  if (!pace_.take(now, pace_full_at_)) {
    if (sources != nullptr) sources->leave(peer);
    return close_cause::listener_rate;
  }
  count();
  return close_cause::none;
}

// --- the state -----------------------------------------------------------------------------------

std::optional<operation> door::next(bool room, instant now) noexcept {
  // A descriptor has become free, or the back-off is over.
  if (state_ == door_state::exhausted && retry_at_ <= now) state_ = door_state::waiting;
  if (state_ == door_state::waiting && room) return operation::accept;
  if (state_ == door_state::armed && !room) return operation::stop_accept;
  if (state_ == door_state::closing) return operation::detach;
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
  state_ = door_state::exhausted;
  // Running out again within twice the longest pause is the same episode still.
  const bool begins = told_at_ == 0 || now - told_at_ > 2 * longest_back_off;
  told_at_ = now;
  return begins ? door_failure::began : door_failure::paused;
}

void door::bury(int code) noexcept {
  state_ = door_state::dead;
  back_off_ = 0;
  // With EBADF and ENOTSOCK the number is somebody else's by now.
  if (code == -EBADF || code == -ENOTSOCK) {
    (void)socket_.release();
  } else {
    socket_.close();
  }
}

void door::accepted() noexcept {
  back_off_ = 0;
  // A connection that the backend still held may come while the listener waits.
  if (state_ == door_state::exhausted) state_ = door_state::waiting;
}

bool door::close() noexcept {
  if (state_ > door_state::exhausted) return false;
  state_ = door_state::closing;
  back_off_ = 0;
  return true;
}

void door::detached() noexcept {
  state_ = door_state::dead;
  socket_.close();
}

}  // namespace hinge
