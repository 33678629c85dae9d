#include "client.hpp"

#include <hinge/backend.hpp>
#include <hinge/socket.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <stdexcept>

namespace hinge::bench {

namespace {

constexpr std::size_t pattern_period = 65'536;  // that of connection::pattern
constexpr std::uint32_t preparing_at_once = 64;
constexpr std::uint32_t starts_per_turn = 32;
constexpr std::size_t events_per_turn = 512;
constexpr std::size_t changes_per_turn = 256;
constexpr std::uint64_t one_segment = 512;  // what fits into one packet on any path
constexpr nanoseconds first_rest = std::chrono::milliseconds(10);
constexpr std::uint32_t most_doublings = 7;  // 10 ms to 1.28 s
constexpr nanoseconds unix_queue_rest = std::chrono::milliseconds(1);
constexpr nanoseconds longest_wait = std::chrono::milliseconds(100);  // until `stop` is looked at
constexpr std::uint64_t least_failures_to_give_up = 3;

nanoseconds thread_cpu() noexcept {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

any_poller readiness_poller() {
  for (const backend which : built_backends()) {
    result<any_poller> made = any_poller::of(which);
    if (made && !made->completes()) return std::move(*made);
  }
  throw std::runtime_error("this build has no readiness backend");
}

error_kind kind_of(int code) noexcept {
  switch (code) {
    case ECONNREFUSED:
    case ENOENT:
      return error_kind::refused;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return error_kind::reset;
    case ETIMEDOUT:
      return error_kind::timed_out;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return error_kind::unreachable;
    case EMFILE:
    case ENFILE:
      return error_kind::no_descriptor;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
      return error_kind::no_port;
    default:
      return error_kind::other;
  }
}

// BSD and macOS say ENOTCONN of a connection that is still being made.
bool not_yet(int code) noexcept { return sockets::would_block(code) || code == -ENOTCONN; }

}  // namespace

client_sources::client_sources(const address& target, std::uint32_t connections) {
  if (target.family() != family::ipv4 || !target.is_loopback()) return;
  // 127.1.0.1 to 127.1.249.250: a thousandth of the ports of each at the usual 28,232.
  const std::size_t wanted = std::clamp<std::size_t>(connections / 250, 16, 1000);
  for (std::uint32_t i = 0; i < wanted; ++i) {
    inet_name one = address::loopback(0).inet();
    one.ip = {127, 1, static_cast<std::uint8_t>(i / 250), static_cast<std::uint8_t>(i % 250 + 1)};
    addresses_.push_back(one);
  }
  // Elsewhere than on Linux an address of 127.0.0.0/8 has to be configured first.
  const unique_fd probe(sockets::open_stream(family::ipv4));
  if (sockets::bind(probe.get(), address::from(addresses_[0])) == -EADDRNOTAVAIL)
    addresses_.clear();
}

int client_sources::bind_next(int fd) noexcept {
  if (addresses_.empty()) return 0;
  next_ = (next_ + 1) % addresses_.size();
#ifdef IP_BIND_ADDRESS_NO_PORT
  // The port is picked by connect(2), when the whole 4-tuple is known: 28,232 for each destination.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
#endif
  return sockets::bind(fd, address::from(addresses_[next_]));
}

client::client(const load_options& options, std::uint32_t connections,
               const std::atomic<bool>& stop)
    : options_(options),
      stop_(stop),
      sources_(options.target, options.connections),
      poller_(readiness_poller()),
      events_(events_per_turn),
      pattern_(2 * pattern_period),
      buffer_(std::clamp<std::uint64_t>(options.bytes, 1, pattern_period)),
      connections_(connections) {
  const auto opened = poller_.open({.connections = connections});
  if (!opened) throw std::runtime_error(opened.error().text());
  changes_.reserve(changes_per_turn);
  std::mt19937 random(connections);
  for (std::size_t i = 0; i < pattern_period; ++i) {
    pattern_[i] = pattern_[i + pattern_period] = static_cast<std::byte>(random() >> 24);
  }
  for (connection& one : connections_) one.pattern = static_cast<std::uint16_t>(random());
}

std::uint32_t client::index_of(const connection& one) const noexcept {
  return static_cast<std::uint32_t>(&one - connections_.data());
}

// Phases.

void client::prepare() {
  if (options_.work != workload::echo) return;
  preparing_ = true;
  std::uint32_t seen = 0;
  clock_ = now();
  phase_end_ = clock_ + options_.timeout.count();
  while (prepared_ < connections_.size() && clock_ < phase_end_ && !over()) {
    turn();
    if (prepared_ > seen) phase_end_ = clock_ + options_.timeout.count();
    seen = prepared_;
  }
  preparing_ = false;
}

void client::measure() {
  started_ = 0;
  run_until(now() + options_.warmup.count());
  measuring_ = true;
  if (!over()) {
    const nanoseconds cpu = thread_cpu();
    const instant begin = now();
    run_until(begin + options_.duration.count());
    result_.elapsed = nanoseconds(now() - begin);
    result_.client_cpu = thread_cpu() - cpu;
  }
  result_.unfinished = under_way_;
  result_.interrupted = stop_.load(std::memory_order_relaxed);
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
  start_some();
  collect_changes();
  turn_terms terms{.until = wait_until(), .now = now()};
  const int count = poller_.turn(changes_, events_, terms);
  if (count < 0) throw std::runtime_error(error("turn", poller_.name(), -count).text());
  clock_ = terms.now;
  for (int i = 0; i < count; ++i) on_event(events_[static_cast<std::size_t>(i)]);
  wake_rested();
  expire();
  result_.nothing_answers =
      answers_ == 0 &&
      failures_ >= std::max<std::uint64_t>(connections_.size(), least_failures_to_give_up);
}

void client::start_some() {
  const std::uint32_t room =
      preparing_ ? preparing_at_once - std::min(under_way_, preparing_at_once) : starts_per_turn;
  const std::size_t end = std::min<std::size_t>(connections_.size(), started_ + room);
  while (started_ < end) {
    connection& one = connections_[started_++];
    if (one.now == state::idle) begin(one);
  }
}

deadline client::wait_until() const noexcept {
  if (!preparing_ && started_ < connections_.size()) return deadline::immediately();
  if (!unregistered_.empty()) return deadline::immediately();
  instant until = std::min(phase_end_, clock_ + longest_wait.count());
  if (!resting_.empty()) until = std::min(until, resting_.front().first);
  if (oldest_ != nobody) {
    until = std::min(until, connections_[oldest_].started + options_.timeout.count());
  }
  return deadline::at(until);
}

// What has come and gone since the last turn is never registered.
void client::collect_changes() {
  changes_.clear();
  while (!unregistered_.empty() && changes_.size() < changes_per_turn) {
    connection& one = connections_[unregistered_.back()];
    unregistered_.pop_back();
    if (!one.fd || !one.watched || std::exchange(one.registered, true)) continue;
    changes_.push_back({.subject = token(role::connection, index_of(one), one.generation),
                        .fd = one.fd.get(),
                        .what = operation::receive});
  }
}

void client::on_event(const event& seen) {
  connection& one = connections_[seen.subject.slot()];
  if (seen.subject.what() != role::connection || seen.subject.generation() != one.generation ||
      !one.fd)
    return;
  if (seen.kind == event_kind::failed) return fail_with(one, seen.result);
  const bool incoming = (seen.result & ~readiness::out) != 0;
  if (one.now == state::idle && incoming) {
    const bool ended = (seen.result & readiness::end) != 0;
    return fail(one, ended ? error_kind::early_end : error_kind::mismatch);
  }
  if (one.now == state::under_way && one.sent < options_.bytes) push(one);
  if (one.now == state::under_way && incoming) pull(one, readiness::cause(seen.result));
}

void client::wake_rested() {
  while (!resting_.empty() && resting_.front().first <= clock_) {
    std::pop_heap(resting_.begin(), resting_.end(), std::greater<>());
    connection& one = connections_[resting_.back().second];
    resting_.pop_back();
    one.now = state::idle;
    begin(one);
  }
}

void client::expire() {
  while (oldest_ != nobody && clock_ - connections_[oldest_].started >= options_.timeout.count()) {
    fail(connections_[oldest_], error_kind::timed_out);
  }
}

// One operation.

void client::begin(connection& one) {
  if (one.started == 0) one.started = now();
  if (!one.fd && !connect(one)) return;
  if (options_.work == workload::echo) one.started = now();
  one.sent = one.received = 0;
  one.pattern = static_cast<std::uint16_t>(one.pattern * 5 + 12'347);  // a period of all 65,536
  enter(one);
  if (options_.bytes > 0) push(one);
  if (one.now == state::under_way) watch(one);
}

// False: it failed, or it will be tried again; either way it rests now.
bool client::connect(connection& one) {
  unique_fd made(sockets::open_stream(options_.target.family()));
  int failed = made ? prepare_socket(made.get()) : made.get();
  if (failed == 0) failed = sockets::connect(made.get(), options_.target);
  if (failed == 0 || failed == -EINPROGRESS) {
    one.fd = std::move(made);
    one.watched = one.registered = false;
    ++one.generation;
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
  if (options_.work == workload::accept) sockets::reset_on_close(fd);
  // One packet never waits for an acknowledgement; the last of several would (Nagle).
  if (options_.bytes > one_segment) sockets::set_no_delay(fd, true);
  return sources_.bind_next(fd);
}

void client::push(connection& one) {
  while (one.sent < options_.bytes) {
    const std::size_t length = std::min<std::uint64_t>(options_.bytes - one.sent, pattern_period);
    const std::byte* from = &pattern_[(one.pattern + one.sent) % pattern_period];
    const int sent = sockets::send(one.fd.get(), {from, length});
    if (sent < 0 && !not_yet(sent)) return fail_with(one, sent);
    if (sent < 0) return watch(one);
    one.sent += static_cast<std::uint64_t>(sent);
  }
}

/// `cause`: the errno that came with the event, which the socket may no longer have; or 0.
void client::pull(connection& one, int cause) {
  for (;;) {
    const std::uint64_t missing = options_.bytes - one.received;
    const std::size_t room = std::clamp<std::uint64_t>(missing, 1, buffer_.size());
    int got = sockets::receive(one.fd.get(), std::span(buffer_).first(room));
    if (got == 0 && cause != 0) got = -cause;
    if (not_yet(got)) return;
    if (got < 0) return fail_with(one, got);
    if (options_.bytes == 0) return complete(one);
    if (got == 0) return fail(one, error_kind::early_end);
    const auto length = static_cast<std::size_t>(got);
    if (!echoed(one, length)) return fail(one, error_kind::mismatch);
    one.received += length;
    if (one.received == options_.bytes) return complete(one);
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
  if (measuring_) {
    result_.latency.record(now() - one.started);
    ++result_.completed;
  }
  ++answers_;
  leave(one);
  one.now = state::idle;
  one.started = 0;
  one.failures = 0;
  if (options_.work == workload::accept) one.fd.reset();
  if (preparing_) {
    ++prepared_;
  } else {
    begin(one);
  }
}

void client::fail_with(connection& one, int code) {
  const error_kind kind = kind_of(-code);
  if (kind == error_kind::other && result_.other_errno == 0) result_.other_errno = -code;
  fail(one, kind);
}

void client::fail(connection& one, error_kind kind) {
  error_counts& errors = measuring_ ? result_.errors : result_.errors_before;
  ++errors[static_cast<std::size_t>(kind)];
  ++failures_;
  if (one.now == state::under_way) leave(one);
  if (one.now == state::idle && one.fd) --prepared_;
  one.fd.reset();
  one.started = 0;
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
