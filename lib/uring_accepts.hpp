// The listeners of the io_uring backend: requests to accept, and connections that were accepted
// before the loop has room for them.
#pragma once

#include <hinge/address.hpp>
#include <hinge/event.hpp>
#include <hinge/poller.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/uring.hpp>

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <utility>

#include "uring_ring.hpp"
#include "uring_token.hpp"

namespace hinge {

class uring_accepts {
public:
  explicit uring_accepts(uring_ring& ring) noexcept : ring_(ring) {}
  uring_accepts(const uring_accepts&) = delete;
  uring_accepts& operator=(const uring_accepts&) = delete;

  /// Room for the names of a turn's connections, and to hold what a completion queue can. False:
  /// no memory.
  bool open(const poller_options& options, std::uint32_t completions) noexcept;
  /// Closes connections that were accepted and not told. Who destroys this has called it before.
  void close_held() noexcept;
  const inet_name* peers() const noexcept { return peers_.data(); }

  // --- changes: 0 or -errno ------------------------------------------------------------------
  int start(const change& wanted) noexcept;
  int stop(const change& wanted) noexcept;
  /// True: nothing is under way, it is detached at once. Else it is when all that it has accepted
  /// has been told.
  bool detach(const change& wanted) noexcept;

  // --- events --------------------------------------------------------------------------------
  /// Before a turn's events: how many connections it may tell of.
  void begin(std::uint32_t room) noexcept;
  bool any_held() const noexcept { return held_ != 0; }
  bool pending() const noexcept { return (holding_ | waiting_) != 0; }
  /// The new end of the events, and what is left of the room for other ones.
  struct told {
    event* end;
    std::uint32_t spare;
  };
  /// Tells of connections that were held. When none is left, the kernel accepts again, or the
  /// listener is detached: that takes of `spare`.
  told tell_held(event* out, std::uint32_t spare) noexcept;
  /// A completion, whose event may be written to `out`. `spare`: room for events besides those of
  /// begin(). The number of events made, or `put_off`: it can't be dealt with in this turn.
  unsigned completed(token subject, std::int32_t result, bool more, std::uint32_t& spare,
                     event& out) noexcept {
    source& of = sources_[subject.slot()];
    if (!more || result < 0 || !of.plain) [[unlikely]]
      return completed_unusually(of, result, more, spare, out);
    if (full()) return hold(of, result) ? 0 : put_off;
    out = tell(of, result);
    return 1;
  }
  static constexpr unsigned put_off = 2;

private:
  struct source {
    token subject;
    std::uint64_t bit = 0;  // of its place
    int fd = -1;
    bool plain = false;       // armed, multishot, and not detaching
    bool armed = false;       // the kernel accepts
    bool told_armed = false;  // as the loop knows it
    bool cancelled = false;
    bool detaching = false;
    std::uint32_t first_held = none;
    std::uint32_t last_held = none;
    socklen_t length = 0;
    sockaddr_storage from;  // one_at_a_time_: of the request under way
  };
  /// Accepted, and not told; chained by listener.
  struct held_connection {
    int fd;
    std::uint32_t next;
  };
  static constexpr std::uint32_t none = 0xffffffff;

  int arm(source& of) noexcept;
  int arm_again(source& of) noexcept;
  told tell_held_of_one(event* out, std::uint32_t spare) noexcept;
  /// Detaching, and nothing but held connections is left of it.
  static bool leaves(const source& of) noexcept { return of.detaching && !of.armed; }
  static event left(source& of) noexcept {
    of.detaching = false;
    return {.subject = of.subject, .result = detach_result::released, .kind = event_kind::detached};
  }
  void arm_waiting() noexcept;
  void cancel(source& of) noexcept;
  unsigned completed_unusually(source& of, std::int32_t result, bool more, std::uint32_t& spare,
                               event& out) noexcept;
  bool full() const noexcept { return told_ >= room_; }
  /// False: too many are held.
  bool hold(source& of, int fd) noexcept;
  int take_held(source& of) noexcept {
    const std::uint32_t place = of.first_held;
    held_connection& taken = held_connections_[place];
    of.first_held = std::exchange(taken.next, free_held_);
    free_held_ = place;
    if (of.first_held == none) holding_ &= ~of.bit;
    --held_;
    return taken.fd;
  }
  event tell(const source& of, int fd) noexcept {
    return {.subject = of.subject,
            .result = fd,
            .buffer = static_cast<std::uint16_t>(told_++),
            .kind = event_kind::accepted,
            .more = of.told_armed};
  }

  uring_ring& ring_;
  bool one_at_a_time_ = false;  // others share the listeners
  std::uint32_t room_ = 0;
  std::uint32_t told_ = 0;
  std::uint32_t held_ = 0;
  std::uint32_t fresh_held_ = 0;  // places from here on were never used
  std::uint32_t free_held_ = none;
  /// With more than these, which a turn can take, the kernel's queue holds the others: its length
  /// was asked for, and who waits beyond it is to hear of it. What one harvest finds may come on
  /// top.
  std::uint32_t enough_held_ = 0;
  std::uint32_t most_held_ = 0;
  std::uint64_t holding_ = 0;  // bit i: of source i some are held
  std::uint64_t waiting_ = 0;  // bit i: source i is to be armed when none are held
  unsigned next_source_ = 0;   // whose turn it is to be told of
  raw_array<held_connection> held_connections_;
  raw_array<inet_name> peers_;
  std::array<source, uring_poller::max_listeners> sources_;
  static_assert(uring_poller::max_listeners == 64);
};

}  // namespace hinge
