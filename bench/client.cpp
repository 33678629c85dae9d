#include "client.hpp"

#include <hinge/backend.hpp>
#include <hinge/socket.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <span>
#include <stdexcept>

#include "readiness.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint32_t preparing_at_once = 64;
constexpr std::uint32_t starts_per_turn = 32;
constexpr std::size_t events_per_turn = 512;
constexpr std::size_t changes_per_turn = 256;
constexpr nanoseconds a_millisecond = std::chrono::milliseconds(1);
constexpr nanoseconds longest_wait = std::chrono::milliseconds(100);  // until `stop` is looked at
constexpr std::size_t least_failures_to_give_up = 3;
constexpr std::size_t most_failures_to_give_up = 64;

}  // namespace

client::client(const load_options& options, client_share share, const std::atomic<bool>& stop)
    : options_(options),
      script_(script_of(options)),
      stop_(stop),
      first_(share.index == 0),
      sources_(options.target, options.connections),
      poller_(readiness_poller()),
      events_(events_per_turn),
      pattern_(2 * pattern_period),
      buffer_(std::clamp<std::uint64_t>(script_.request, 1, pattern_period)),
      connections_(share.connections),
      random_(share.connections + share.index) {
  const auto opened = poller_.open({.connections = share.connections + 1});
  if (!opened) throw std::runtime_error(opened.error().text());
  asks_to_send_ = poller_.limits().asks_to_send;
  changes_.reserve(changes_per_turn);
  if (options.rate > 0) {
    schedule_.emplace(options.arrivals, options.rate / share.threads,
                      static_cast<double>(share.index) / share.threads, share.index);
    if (poller_.name() == backend_name(backend::epoll)) timer_.emplace();
    if (timer_ && timer_->fd() < 0) timer_.reset();
    const token of_timer(role::connection, share.connections, 0);
    if (timer_) changes_.push_back({.subject = of_timer, .fd = timer_->fd()});
  }
  for (std::size_t i = 0; i < pattern_period; ++i) {
    pattern_[i] = pattern_[i + pattern_period] = static_cast<std::byte>(random_() >> 24);
  }
  for (connection& one : connections_) one.pattern = static_cast<std::uint16_t>(random_());
}

std::uint32_t client::index_of(const connection& one) const noexcept {
  return static_cast<std::uint32_t>(&one - connections_.data());
}

void client::prepare() {
  if (!script_.kept()) return;
  preparing_ = true;
  std::uint32_t seen = 0;
  clock_ = now();
  phase_end_ = clock_ + options_.timeout.count();
  while (prepared_ < connections_.size() && clock_ < phase_end_ && !over()) {
    prepare_some();
    turn();
    if (prepared_ > seen) phase_end_ = clock_ + options_.timeout.count();
    seen = prepared_;
  }
  preparing_ = false;
}

void client::measure() {
  for (const connection& one : connections_) {
    if (one.now == state::idle) idle_.push_back(index_of(one));
  }
  if (options_.hold) return measure_rounds();
  const instant start = now();
  if (open_loop()) {
    schedule_->start(start);
    counted_from_ = start + options_.warmup.count();
  }
  run_until(start + options_.warmup.count());
  measuring_ = true;
  if (!over()) {
    if (first_ && options_.on_begin) options_.on_begin();
    const cpu_usage before = usage_of_this_thread();
    const instant begin = measured_from_ = open_loop() ? counted_from_ : now();
    const instant end = begin + options_.duration.count();
    if (open_loop()) schedule_->end(end);
    run_until(end);
    instant ended = now();
    if (open_loop()) {
      finish();
      ended = std::max(std::min(ended, end), last_completed_);
    }
    result_.elapsed = nanoseconds(std::max(ended - begin, instant{0}));
    result_.client = usage_of_this_thread() - before;
    if (first_ && options_.on_end) options_.on_end();
  }
  result_.unfinished += under_way_;
  result_.interrupted = stop_.load(std::memory_order_relaxed);
}

// What was to begin is begun and waited for, within the timeout.
void client::finish() {
  const auto all_ended = [&] {
    return under_way_ == 0 && resting_.empty() && schedule_->next() == arrivals::never;
  };
  phase_end_ = now() + options_.timeout.count();
  while (clock_ < phase_end_ && !all_ended() && !over()) turn();
  result_.unfinished = schedule_->take_all(now());
  for (const connection& one : connections_) {
    if (one.now == state::resting && one.started != 0) ++result_.unfinished;
  }
}

// Whether what becomes of the operation is of the measured time.
bool client::counts(const connection& one) const noexcept {
  return measuring_ && one.intended >= counted_from_;
}

bool client::over() const noexcept {
  return stop_.load(std::memory_order_relaxed) || result_.nothing_answers;
}

void client::run_until(instant end) {
  clock_ = now();
  phase_end_ = end;
  while (clock_ < phase_end_ && !over()) turn();
}

// One turn: start what has not begun, wait, answer what came, wake what has rested, expire what is
// late.
void client::turn() {
  if (!preparing_ && !options_.hold) start_some();
  collect_changes();
  turn_terms terms{.until = wait_until(), .now = now()};
  const int count = poller_.turn(changes_, events_, terms);
  changes_.clear();
  if (count < 0) throw std::runtime_error(error("turn", poller_.name(), -count).text());
  clock_ = terms.now;
  for (int i = 0; i < count; ++i) on_event(events_[static_cast<std::size_t>(i)]);
  wake_rested();
  expire();
  result_.nothing_answers =
      answers_ == 0 && failures_ >= std::clamp(connections_.size(), least_failures_to_give_up,
                                               most_failures_to_give_up);
}

void client::prepare_some() {
  const std::uint32_t room = preparing_at_once - std::min(under_way_, preparing_at_once);
  const std::size_t end = std::min<std::size_t>(connections_.size(), started_ + room);
  while (started_ < end) begin(connections_[started_++], now());
}

void client::start_some() {
  instant at = now();
  for (std::uint32_t i = 0; i < starts_per_turn && !idle_.empty(); ++i) {
    if (open_loop() && schedule_->next() > at && schedule_->next() > (at = now())) return;
    connection& one = connections_[idle_.front()];
    idle_.pop_front();
    begin(one, open_loop() ? schedule_->take() : now());
  }
}

// `until`, or sooner, when an operation is due. False: that is now.
bool client::begins_until(instant& until) noexcept {
  if (idle_.empty() || preparing_ || options_.hold) return true;
  if (!open_loop()) return false;
  instant next = schedule_->next();
  if (next == arrivals::never) return true;
  if (next <= now()) return false;
  if (timer_) {
    timer_->arm(next);
    return true;
  }
  // A wait is rounded up to whole milliseconds: the last one is spent without.
  next -= a_millisecond.count();
  until = std::min(until, next);
  return next > now();
}

deadline client::wait_until() noexcept {
  if (!unregistered_.empty() || !full_.empty()) return deadline::immediately();
  instant until = std::min(phase_end_, clock_ + longest_wait.count());
  if (!begins_until(until)) return deadline::immediately();
  if (!resting_.empty()) until = std::min(until, resting_.front().first);
  if (oldest_ != nobody) {
    until = std::min(until, connections_[oldest_].started + options_.timeout.count());
  }
  return deadline::at(until);
}

// What has come and gone since the last turn is never registered.
void client::collect_changes() {
  while (!unregistered_.empty() && changes_.size() < changes_per_turn) {
    connection& one = connections_[unregistered_.back()];
    unregistered_.pop_back();
    if (!one.fd || !one.watched || std::exchange(one.registered, true)) continue;
    add_change(one, operation::receive);
  }
  while (!full_.empty() && unregistered_.empty() && changes_.size() < changes_per_turn) {
    connection& one = connections_[full_.back()];
    full_.pop_back();
    if (!one.fd || !one.waits) continue;
    add_change(one, operation::send);
  }
}

void client::add_change(const connection& one, operation what) {
  const token subject(role::connection, index_of(one), one.generation);
  changes_.push_back({.subject = subject, .fd = one.fd.get(), .what = what});
}

void client::on_event(const event& seen) {
  if (seen.subject.slot() >= connections_.size()) return;  // the timer's
  connection& one = connections_[seen.subject.slot()];
  if (seen.subject.what() != role::connection || seen.subject.generation() != one.generation ||
      !one.fd)
    return;
  if (seen.kind == event_kind::failed) return fail_with(one, seen.result);
  const bool incoming = (seen.result & ~readiness::out) != 0;
  if ((seen.result & readiness::out) != 0) one.waits = false;
  if (one.now == state::idle && incoming) {
    const int got = sockets::receive(one.fd.get(), std::span(buffer_).first(1));
    if (not_yet(got)) return;  // a hint may be wrong
    return fail(one, got > 0 ? error_kind::mismatch : error_kind::early_end);
  }
  if (one.now == state::under_way && one.sent < script_.request) push(one);
  if (one.now == state::under_way && incoming) pull(one, readiness::cause(seen.result));
}

void client::wake_rested() {
  while (!resting_.empty() && resting_.front().first <= clock_) {
    std::pop_heap(resting_.begin(), resting_.end(), std::greater<>());
    connection& one = connections_[resting_.back().second];
    resting_.pop_back();
    one.now = state::idle;
    if (one.started != 0) {
      attempt(one);
    } else {
      go_on(one);
    }
  }
}

void client::expire() {
  while (oldest_ != nobody && clock_ - connections_[oldest_].started >= options_.timeout.count()) {
    fail(connections_[oldest_], error_kind::timed_out);
  }
}

}  // namespace hinge::bench
