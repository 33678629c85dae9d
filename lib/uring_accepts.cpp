#include "uring_accepts.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "peer_name.hpp"
#include "sys.hpp"

namespace hinge {

uring_accepts::~uring_accepts() {
  for (; held_ != 0; --held_, ++first_held_)
    sys::close(held_connections_[first_held_ % most_held].fd);
}

bool uring_accepts::open(std::uint32_t accepts_per_turn) noexcept {
  if (!peers_.open(accepts_per_turn) || !held_connections_.open(most_held)) return false;
  std::uninitialized_fill_n(peers_.data(), accepts_per_turn, inet_name{});
  return true;
}

int uring_accepts::arm(source& of) noexcept {
  io_uring_sqe* const request = ring_.next();
  if (request == nullptr) return -EBUSY;
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
  of.fd = wanted.fd;
  const int failed = arm(of);
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
  close_held(wanted.subject);
  of.detaching = of.armed;
  return !of.armed;
}

void uring_accepts::close_held(token subject) noexcept {
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < held_; ++i) {
    const held_connection one = held_connections_[(first_held_ + i) % most_held];
    if (one.subject == subject) {
      sys::close(one.fd);
    } else {
      held_connections_[(first_held_ + kept++) % most_held] = one;
    }
  }
  held_ = kept;
}

void uring_accepts::begin(std::uint32_t room) noexcept {
  room_ = room;
  told_ = 0;
}

event uring_accepts::tell(const source& of, int fd) noexcept {
  return {.subject = of.subject,
          .result = fd,
          .buffer = static_cast<std::uint16_t>(told_++),
          .kind = event_kind::accepted,
          .more = of.told_armed};
}

event* uring_accepts::tell_held(event* out) noexcept {
  for (; held_ != 0 && !full(); --held_) {
    const held_connection one = held_connections_[first_held_];
    first_held_ = (first_held_ + 1) % most_held;
    if (one_at_a_time_) peers_[told_] = {};
    *out++ = tell(sources_[one.subject.slot()], one.fd);
  }
  return out;
}

bool uring_accepts::completed(token subject, std::int32_t result, bool more, event& out) noexcept {
  source& of = sources_[subject.slot()];
  const bool stopped = of.cancelled;
  if (!more) of.armed = of.cancelled = false;
  if (of.detaching) {
    if (result >= 0) sys::close(result);
    if (of.armed) return false;
    of.detaching = false;
    out = {.subject = subject, .result = detach_result::released, .kind = event_kind::detached};
    return true;
  }
  if (one_at_a_time_ && result >= 0 && !full()) compact(of.from, peers_[told_]);
  bool known = stopped;  // after a stop the loop has no use for an error
  if (!more && of.told_armed) {
    const bool again = stopped || (one_at_a_time_ && result >= 0);
    of.told_armed = again && arm(of) == 0;
    known = of.told_armed;
  }
  if (result < 0) {
    if (known) return false;
    if (result == -ECANCELED) result = -ENOMEM;  // stopped, and could not be started again
    out = {.subject = subject, .result = result, .kind = event_kind::accepted};
    ++told_;
    return true;
  }
  if (full()) {
    held_connections_[(first_held_ + held_++) % most_held] = {subject, result};
    return false;
  }
  out = tell(of, result);
  return true;
}

}  // namespace hinge
