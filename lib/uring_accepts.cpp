#include "uring_accepts.hpp"

#include <hinge/accept_error.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <utility>

#include "peer_name.hpp"
#include "sys.hpp"

namespace hinge {

void uring_accepts::close_held() noexcept {
  for (source& of : sources_)
    while (of.first_held != none) sys::close(take_held(of));
}

bool uring_accepts::open(const poller_options& options, std::uint32_t completions) noexcept {
  one_at_a_time_ = options.accepting == accept_sharing::first_come;
  enough_held_ = options.accepts_per_turn;
  // A harvest, and what comes while the requests are being cancelled.
  most_held_ = enough_held_ + 2 * completions;
  if (!peers_.open(options.accepts_per_turn) || !held_connections_.open(most_held_)) return false;
  std::uninitialized_fill_n(peers_.data(), options.accepts_per_turn, inet_name{});
  return true;
}

int uring_accepts::arm(source& of) noexcept {
  io_uring_sqe* const request = ring_.next();
  if (request == nullptr) return -EAGAIN;
  constexpr int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (one_at_a_time_) {
    of.from.ss_family = AF_UNSPEC;
    of.length = sizeof of.from;
    io_uring_prep_accept(request, of.fd, reinterpret_cast<sockaddr*>(&of.from), &of.length, flags);
  } else {
    io_uring_prep_multishot_accept(request, of.fd, nullptr, nullptr, flags);
  }
  ring_.name(*request, request_name(of.subject, uring_request::accept));
  of.armed = true;
  of.plain = !one_at_a_time_;
  return 0;
}

void uring_accepts::cancel(source& of) noexcept {
  if (std::exchange(of.cancelled, true)) return;
  ring_.cancel(request_name(of.subject, uring_request::accept));
}

int uring_accepts::start(const change& wanted) noexcept {
  if (wanted.subject.slot() >= sources_.size()) return -ENOSPC;
  source& of = sources_[wanted.subject.slot()];
  if (of.told_armed) return -EEXIST;
  of.told_armed = true;
  // What is being cancelled starts again when it has ended.
  if (of.armed) return 0;
  of.subject = wanted.subject;
  of.bit = std::uint64_t{1} << wanted.subject.slot();
  of.fd = wanted.fd;
  const int failed = arm_again(of);
  of.told_armed = failed == 0;
  return failed;
}

int uring_accepts::stop(const change& wanted) noexcept {
  if (wanted.subject.slot() >= sources_.size()) return -ENOSPC;
  source& of = sources_[wanted.subject.slot()];
  of.told_armed = false;
  if (of.armed) cancel(of);
  return 0;
}

bool uring_accepts::detach(const change& wanted) noexcept {
  if (stop(wanted) < 0) return true;
  source& of = sources_[wanted.subject.slot()];
  of.detaching = of.armed || of.first_held != none;
  of.plain = false;
  return !of.detaching;
}

bool uring_accepts::hold(source& of, int fd) noexcept {
  const std::uint32_t before = held_;
  if (before == most_held_) return false;
  held_ = before + 1;
  std::uint32_t place = free_held_;
  if (place != none) {
    free_held_ = held_connections_[place].next;
  } else {
    place = fresh_held_++;
  }
  held_connections_[place] = {fd, none};
  if (of.first_held == none) {
    of.first_held = place;
    holding_ |= of.bit;
  } else {
    held_connections_[of.last_held].next = place;
  }
  of.last_held = place;
  if (before >= enough_held_ && !of.cancelled && of.armed) [[unlikely]]
    cancel(of);
  return true;
}

void uring_accepts::begin(std::uint32_t room) noexcept {
  room_ = room;
  told_ = 0;
}

/// One of each listener in turn, so that the fastest doesn't take all the room.
uring_accepts::told uring_accepts::tell_held(event* out, std::uint32_t spare) noexcept {
  while (held_ != 0 && !full()) {
    if (std::has_single_bit(holding_)) return tell_held_of_one(out, spare);
    const int from_next = std::countr_zero(std::rotr(holding_, static_cast<int>(next_source_)));
    source& of = sources_[(next_source_ + static_cast<unsigned>(from_next)) % sources_.size()];
    const bool last = leaves(of) && held_connections_[of.first_held].next == none;
    if (last && spare == 0) return {out, spare};
    next_source_ = of.subject.slot() + 1;
    if (one_at_a_time_) peers_[told_] = {};
    const int fd = take_held(of);
    *out++ = tell(of, fd);
    if (!last) continue;
    --spare;
    *out++ = left(of);
  }
  if (held_ == 0) arm_waiting();
  return {out, spare};
}

/// The only listener with held connections: all of them, or as many as there is room for.
uring_accepts::told uring_accepts::tell_held_of_one(event* out, std::uint32_t spare) noexcept {
  source& of = sources_[static_cast<unsigned>(std::countr_zero(holding_))];
  if (leaves(of) && spare == 0) return {out, spare};
  const std::uint32_t count = std::min(held_, room_ - told_);
  std::uint32_t place = of.first_held;
  std::uint32_t last = place;
  event one = tell(of, -1);
  const std::uint32_t end = --told_ + count;
  for (std::uint32_t told = told_; told != end; ++told) {
    if (one_at_a_time_) peers_[told] = {};
    one.result = held_connections_[place].fd;
    one.buffer = static_cast<std::uint16_t>(told);
    *out++ = one;
    last = std::exchange(place, held_connections_[place].next);
  }
  told_ = end;
  held_connections_[last].next = std::exchange(free_held_, of.first_held);
  of.first_held = place;
  held_ -= count;
  if (held_ != 0) return {out, spare};
  holding_ = 0;
  if (leaves(of)) {
    --spare;
    *out++ = left(of);
  }
  arm_waiting();
  return {out, spare};
}

/// Not while enough are held already.
int uring_accepts::arm_again(source& of) noexcept {
  if (held_ <= enough_held_) return arm(of);
  waiting_ |= of.bit;
  return 0;
}

/// Enough were held to let the kernel's queue hold the others, and all have been told.
void uring_accepts::arm_waiting() noexcept {
  for (; waiting_ != 0; waiting_ &= waiting_ - 1) {
    source& of = sources_[static_cast<unsigned>(std::countr_zero(waiting_))];
    // What can't be asked for now is asked for after the next turn.
    if (of.told_armed && !of.armed && arm(of) < 0) return;
  }
}

unsigned uring_accepts::completed_unusually(source& of, std::int32_t result, bool more,
                                            std::uint32_t& spare, event& out) noexcept {
  const bool over = full();
  // The last answer of one that is being detached can't tell both.
  const bool holds = result >= 0 && (over || (of.detaching && !more));
  if (holds ? held_ == most_held_ : over && (!of.cancelled || spare == 0)) return put_off;
  // A cancel that was owed may find the next accept in place of the one that has ended meanwhile.
  const bool stopped = of.cancelled || result == -ECANCELED;
  if (!more) of.plain = of.armed = of.cancelled = false;
  if (of.detaching && result < 0) {
    if (of.armed || of.first_held != none) return 0;
    over ? --spare : ++told_;
    out = left(of);
    return 1;
  }
  if (one_at_a_time_ && result >= 0 && !over) compact(of.from, peers_[told_]);
  bool known = stopped;  // after a stop the loop has no use for an error
  if (!more && of.told_armed) {
    // The kernel ends a multishot accept also when it was one connection alone that had failed.
    const bool lost = result < 0 && classify_accept_error(-result) == accept_class::retry;
    const bool again = stopped || lost || (one_at_a_time_ && result >= 0);
    of.told_armed = again && arm_again(of) == 0;
    known = stopped && of.told_armed;
  }
  if (result >= 0) {
    if (holds) return hold(of, result), 0;
    out = tell(of, result);
    return 1;
  }
  if (known) return 0;
  spare -= over;
  if (result == -ECANCELED) result = -ENOMEM;  // stopped, and could not be started again
  out = tell(of, result);
  return 1;
}

}  // namespace hinge
