// A listener of a loop: whom it lets in, and how its accepting goes.
#pragma once

#include <hinge/address_rules.hpp>
#include <hinge/close_cause.hpp>
#include <hinge/event.hpp>
#include <hinge/export.hpp>
#include <hinge/fd.hpp>
#include <hinge/listener.hpp>
#include <hinge/meter.hpp>
#include <hinge/rate_limit.hpp>
#include <hinge/source_limits.hpp>
#include <hinge/time.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace hinge {

/// Whom a listener lets in. Decided when a connection has been accepted, and before it costs more:
/// who is turned away costs an accept and a close, and no handler hears of it. Asked in this order:
/// the rules, the listener's numbers, the limits of the source and of its network, the listener's
/// rate. Where accept doesn't tell the peer (io_uring's multishot) rules and sources take a
/// getpeername(2) more, and a peer that has reset by then has no name: it ends as peer_reset.
struct door_options {
  std::shared_ptr<const address_rules> rules = {};  ///< none: everybody; loops may share them
  std::uint32_t max_connections = 0;                ///< at one time; 0: no limit
  std::uint32_t max_pending = 0;  ///< of these, those that have sent nothing yet; 0: no limit
  rate new_connections = {};      ///< a second; 0: no limit

  bool limits() const noexcept {
    return rules != nullptr || max_connections != 0 || max_pending != 0 || new_connections.limits();
  }
};

enum class door_state : std::uint8_t {
  waiting,    ///< not accepting: new, or without room
  armed,      ///< the backend accepts on it
  exhausted,  ///< not accepting: for want of a descriptor or of memory, until retry_at()
  closing,    ///< the backend is to be told to let go of it
  detaching,  ///< it has been told
  emptying,   ///< it has let go; what waits in the queue is accepted by calls
  dead,       ///< closed
};

/// What a failed accept came to.
enum class door_failure : std::uint8_t {
  late,    ///< nobody waits for its connections any more
  passed,  ///< one connection was lost
  paused,  ///< it is exhausted, still or again
  began,   ///< it is exhausted, and an episode begins
  died,    ///< it never accepts again
};

/// What ended a listener's want of descriptors or memory.
enum class want_end : std::uint8_t {
  retry,            ///< as far as is known here a try after the back-off, which worked
  freed_here,       ///< this loop had closed a descriptor
  freed_elsewhere,  ///< another loop of this process had
};

/// A time in which a listener's accepts failed for want of descriptors or memory. It is over when
/// the listener has accepted for two seconds without a failure: so two failures that are less than
/// two seconds apart belong to one episode, also when an accept worked between them.
struct door_episode {
  instant began = 0;     ///< the first failure
  nanoseconds length{};  ///< from then to the accept that worked, or the try that nobody came to
  std::uint64_t failures = 0;
  want_end ended_by = want_end::retry;
};

/// What a listener that is closed does with who waits in its queue.
enum class door_exit : std::uint8_t {
  at_once,     ///< they are reset
  when_empty,  ///< they are accepted first
  /// Somebody else holds the same socket, and its path stays. Who waits is accepted first all the
  /// same: the kernel wakes one of those who wait for him (EPOLLEXCLUSIVE, and each accept of
  /// io_uring), and that may have been this one.
  left_to_others,
};
/// Called once when a listener that retires is closed, with how many connections it has accepted
/// since it began to.
using door_end = std::function<void(std::uint64_t drained)>;

/// The loop's thread. Only the functions of the second part change the state.
class door {
public:
  explicit door(listener opened) noexcept : socket_(std::move(opened)) {}

  /// Any thread may ask where it listens.
  const listener& socket() const noexcept { return socket_; }
  /// Any thread: its descriptor once more, or fcntl's -errno; EBADF: it is closed.
  HINGE_API unique_fd duplicate() const noexcept;
  const door_options& options() const noexcept { return options_; }
  /// Counted connections, and those of them that have sent nothing yet.
  std::uint32_t connections() const noexcept { return connections_; }
  std::uint32_t pending() const noexcept { return pending_; }
  door_meter& meter() noexcept { return meter_; }

  HINGE_API void set(const door_options& options) noexcept;
  void set_path_file(const path_identity& file) noexcept { socket_.set_path_file(file); }
  /// Why a connection is turned away; close_cause::none: it is let in, and counted. `peer` is asked
  /// for where the backend doesn't know it.
  HINGE_API close_cause admit(source_limits& sources, int fd, inet_name& peer,
                              instant now) noexcept;
  /// A connection that came before anybody was counted.
  void count(bool pending) noexcept {
    ++connections_;
    pending_ += pending;
  }
  /// A counted connection has sent its first byte.
  void speak() noexcept { --pending_; }
  /// A counted connection has ended.
  void leave(bool pending) noexcept {
    --connections_;
    pending_ -= pending;
  }

  door_state state() const noexcept { return state_; }
  /// Accepts, as far as it goes, or will never again: nobody waits in vain for it.
  bool goes_on(bool room) const noexcept {
    return state_ > door_state::exhausted || (room && state_ != door_state::exhausted);
  }
  /// The last accept failed for want of something, and it has not rested since.
  bool recovering() const noexcept { return back_off_ != 0; }
  /// An episode goes on, or can't be said to have ended yet.
  bool in_episode() const noexcept { return episode_.failures != 0; }
  instant retry_at() const noexcept { return retry_at_; }
  /// Since it is exhausted, who comes is shed.
  bool sheds() const noexcept { return sheds_; }

  /// What the backend has to be asked, if anything; `room`: for connections.
  HINGE_API std::optional<operation> next(bool room, instant now) noexcept;
  /// It has been asked that.
  HINGE_API void asked(operation what) noexcept;
  /// The backend doesn't accept on it any more.
  void ended() noexcept {
    if (state_ == door_state::armed) state_ = door_state::waiting;
  }
  /// An accept has failed with -errno, or (`arming`) the backend could not begin to. `freed`:
  /// since then a descriptor became free.
  HINGE_API door_failure fail(int code, bool arming, instant now, bool freed) noexcept;
  /// An accept has worked.
  HINGE_API void accepted(instant now) noexcept;
  HINGE_API void descriptor_freed(instant now, want_end by) noexcept;
  /// It is exhausted, and who comes is to be shed: tries again at once if that can work, because
  /// `room` was made, or somebody has been shed since the last try.
  HINGE_API void shed_next(bool room, instant now) noexcept;
  /// Somebody was shed, here or at another door.
  HINGE_API void shed(instant now) noexcept;
  /// It was tried again, and nobody has come for so long that it may be said to have recovered.
  HINGE_API bool rests(instant now) const noexcept;
  /// It has, or (without `room` for who may come) has to rest once more.
  HINGE_API void rested(bool room, instant now) noexcept;
  /// When the next try is due, or the episode is over.
  HINGE_API deadline next_moment() const noexcept;
  /// The episode that is over at `now`; told once.
  HINGE_API std::optional<door_episode> take_episode(instant now) noexcept;
  /// It retires: from now on who is accepted counts as drained.
  HINGE_API void retire(door_end tell) noexcept;
  bool retires() const noexcept { return tell_ != nullptr; }
  void count_drained() noexcept { ++drained_; }
  /// It is to be closed. A second word can only be `at_once`.
  HINGE_API void close(door_exit how) noexcept;
  /// The backend has let go of it.
  HINGE_API void detached() noexcept;
  /// Emptying: nobody waited, or it can't accept again; or, until then, it has to wait.
  HINGE_API void emptied() noexcept;
  void empty_later(instant then) noexcept { retry_at_ = then; }

private:
  door_failure pause(instant now, bool freed) noexcept;
  void bury(int code) noexcept;
  void end(door_state as) noexcept;
  void die() noexcept;
  bool permits(const inet_name& peer) const noexcept {
    return options_.rules == nullptr || options_.rules->permits(peer);
  }
  bool full() const noexcept {
    return options_.max_connections != 0 && connections_ >= options_.max_connections;
  }
  bool waits_enough() const noexcept {
    return options_.max_pending != 0 && pending_ >= options_.max_pending;
  }

  listener socket_;
  door_state state_ = door_state::waiting;
  instant retry_at_ = 0;
  instant back_off_ = 0;     // 0: the last accept worked
  instant quiet_since_ = 0;  // its last failure, or the try after that
  bool sheds_ = false;       // while it recovers
  door_exit exit_ = door_exit::at_once;
  bool somebody_shed_ = false;
  want_end freed_by_ = want_end::retry;
  door_episode episode_ = {};
  door_options options_ = {};
  rate_limit pace_ = rate_limit();  // options_.new_connections
  instant pace_full_at_ = 0;        // see rate_limit
  std::uint32_t connections_ = 0;
  std::uint32_t pending_ = 0;
  door_meter meter_ = {};
  std::uint64_t drained_ = 0;
  door_end tell_ = {};
};

}  // namespace hinge
