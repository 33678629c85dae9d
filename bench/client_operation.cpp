// What a client does with one connection: an operation from its begin to its end.
#include "client.hpp"

#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <span>
#include <utility>

#include "readiness.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint64_t one_segment = 512;  // what fits into one packet on any path
constexpr nanoseconds first_rest = std::chrono::milliseconds(10);
constexpr std::uint32_t most_doublings = 7;  // 10 ms to 1.28 s
constexpr nanoseconds unix_queue_rest = std::chrono::milliseconds(1);

}  // namespace

// After an operation, or the rest after one that has failed.
void client::go_on(connection& one) {
  if (by_itself() || preparing_) return begin(one, now());
  one.freed = now();
  idle_.push_back(index_of(one));
}

void client::begin(connection& one, instant intended) {
  one.intended = intended;
  one.started = now();
  if (open_loop() && counts(one)) result_.lag.record(one.started - std::max(intended, one.freed));
  attempt(one);
}

void client::attempt(connection& one) {
  if (!one.fd && !connect(one)) return;
  if (script_.kept()) one.started = now();
  one.sent = one.received = 0;
  one.pattern = static_cast<std::uint16_t>(one.pattern * 5 + 12'347);  // a period of all 65,536
  enter(one);
  if (script_.request > 0) push(one);
  if (one.now == state::under_way) watch(one);
}

// False: it failed, or it will be tried again; either way it rests now.
bool client::connect(connection& one) {
  unique_fd made(sockets::open_stream(options_.target.family()));
  int failed = made ? prepare_socket(made.get()) : made.get();
  if (failed == 0) failed = sockets::connect(made.get(), options_.target);
  if (failed == 0 || failed == -EINPROGRESS) {
    one.fd = std::move(made);
    one.watched = one.registered = one.waits = false;
    ++one.generation;
    one.left = script_.draw(random_);
    if (counts(one)) ++result_.connections_made;
    return true;
  }
  // A Unix listener's queue is full: nothing tells when it no longer is (connect(2)).
  const bool full = failed == -EAGAIN && options_.target.is_unix();
  if (full && now() - one.started < options_.timeout.count()) {
    rest(one, unix_queue_rest);
  } else if (full) {
    fail(one, error_kind::timed_out);
  } else {
    fail_with(one, failed);
  }
  return false;
}

int client::prepare_socket(int fd) noexcept {
  if (options_.target.is_unix()) return 0;
  if (!script_.kept()) sockets::reset_on_close(fd);
  // One packet never waits for an acknowledgement; the last of several would (Nagle).
  if (script_.request > one_segment) sockets::set_no_delay(fd, true);
  return sources_.bind_next(fd);
}

void client::push(connection& one) {
  while (one.sent < script_.request) {
    const std::size_t length = std::min<std::uint64_t>(script_.request - one.sent, pattern_period);
    const std::byte* from = &pattern_[(one.pattern + one.sent) % pattern_period];
    const int sent = sockets::send(one.fd.get(), {from, length});
    if (sent < 0 && !not_yet(sent)) return fail_with(one, sent);
    if (sent < 0) {
      watch(one);
      if (asks_to_send_ && !std::exchange(one.waits, true)) full_.push_back(index_of(one));
      return;
    }
    one.sent += static_cast<std::uint64_t>(sent);
  }
}

/// `cause`: the errno that came with the event, which the socket may no longer have; or 0.
void client::pull(connection& one, int cause) {
  for (;;) {
    const std::uint64_t missing = script_.request - one.received;
    const std::size_t room = std::clamp<std::uint64_t>(missing, 1, buffer_.size());
    int got = sockets::receive(one.fd.get(), std::span(buffer_).first(room));
    if (got == 0 && cause != 0) got = -cause;
    if (not_yet(got)) return;
    if (got < 0) return fail_with(one, got);
    if (script_.request == 0) return complete(one);
    if (got == 0) return fail(one, error_kind::early_end);
    const auto length = static_cast<std::size_t>(got);
    if (!echoed(one, length)) return fail(one, error_kind::mismatch);
    one.received += length;
    if (one.received == script_.request) return complete(one);
  }
}

// Whether the first `length` bytes of buffer_ are what was sent, in its place.
bool client::echoed(const connection& one, std::size_t length) const noexcept {
  const std::byte* expected = &pattern_[(one.pattern + one.received) % pattern_period];
  return one.received + length <= one.sent && std::memcmp(buffer_.data(), expected, length) == 0;
}

void client::watch(connection& one) {
  if (!std::exchange(one.watched, true)) unregistered_.push_back(index_of(one));
}

void client::complete(connection& one) {
  if (counts(one)) {
    const instant at = now();
    result_.service.record(at - one.started);
    if (open_loop()) result_.latency.record(at - one.intended);
    ++result_.completed;
    last_completed_ = at;
    const auto part = static_cast<std::size_t>((at - measured_from_) *
                                               static_cast<instant>(result_.parts.size()) /
                                               options_.duration.count());
    if (part < result_.parts.size()) ++result_.parts[part];
  }
  ++answers_;
  if (options_.progress != nullptr)
    options_.progress->completed.fetch_add(1, std::memory_order_relaxed);
  leave(one);
  one.now = state::idle;
  one.started = 0;
  one.failures = 0;
  if (one.left != 0 && --one.left == 0) one.fd.reset();
  if (preparing_) {
    ++prepared_;
  } else {
    go_on(one);
  }
}

void client::fail_with(connection& one, int code) {
  const error_kind kind = kind_of(-code);
  if (kind == error_kind::other && result_.other_errno == 0) result_.other_errno = -code;
  fail(one, kind);
}

void client::fail(connection& one, error_kind kind) {
  const bool between = one.started == 0;  // a kept connection failed while nothing was asked
  error_counts& errors =
      (between ? measuring_ : counts(one)) ? result_.errors : result_.errors_before;
  ++errors[static_cast<std::size_t>(kind)];
  ++failures_;
  if (options_.progress != nullptr)
    options_.progress->failed.fetch_add(1, std::memory_order_relaxed);
  if (one.now == state::under_way) leave(one);
  if (between && preparing_) --prepared_;
  one.fd.reset();
  one.started = 0;
  if (between && !preparing_) return;  // it is in the queue
  one.now = state::idle;
  if (!by_itself() && !preparing_) return go_on(one);
  rest(one, first_rest * (1 << std::min(one.failures++, most_doublings)));
}

void client::rest(connection& one, nanoseconds pause) {
  one.now = state::resting;
  resting_.emplace_back(now() + pause.count(), index_of(one));
  std::push_heap(resting_.begin(), resting_.end(), std::greater<>());
}

// The list of deadlines.

void client::enter(connection& one) noexcept {
  one.now = state::under_way;
  ++under_way_;
  one.previous = newest_;
  one.next = nobody;
  (newest_ == nobody ? oldest_ : connections_[newest_].next) = index_of(one);
  newest_ = index_of(one);
}

void client::leave(connection& one) noexcept {
  --under_way_;
  (one.previous == nobody ? oldest_ : connections_[one.previous].next) = one.next;
  (one.next == nobody ? newest_ : connections_[one.next].previous) = one.previous;
}

}  // namespace hinge::bench
