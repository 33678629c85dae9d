#include "bystanders.hpp"

#include <hinge/socket.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <stdexcept>
#include <utility>

#include "readiness.hpp"

namespace hinge::bench {

namespace {

constexpr nanoseconds tick_length = std::chrono::milliseconds(10);
constexpr unsigned ticks_of_a_round = 10;  // in which each acts once
constexpr std::uint32_t made_in_a_tick = 64;
constexpr std::size_t bystander_events = 512;
constexpr std::size_t buffer_bytes = 65'536;
// Of one that never reads: as little as the kernel permits, and more than it holds at the server.
constexpr int deaf_buffer = 4096;
constexpr std::uint64_t deaf_bytes = 262'144;
constexpr std::uint64_t failures_to_give_up = 64;

}  // namespace

std::string_view name_of(manner how) noexcept {
  constexpr std::array<std::string_view, 4> names = {"idle", "silent", "dribbling", "deaf"};
  return names[static_cast<std::size_t>(how)];
}

bystanders::bystanders(const load_options& options, const std::atomic<bool>& stop)
    : options_(options),
      stop_(stop),
      sources_(options.target, options.beside.connections),
      poller_(readiness_poller()),
      all_(options.beside.connections),
      events_(bystander_events),
      buffer_(buffer_bytes) {
  const auto opened = poller_.open({.connections = options.beside.connections});
  if (!opened) throw std::runtime_error(opened.error().text());
  changes_.reserve(made_in_a_tick);
  for (std::size_t i = 0; i < all_.size(); ++i)
    all_[i].how = options.beside.manners[i % options.beside.manners.size()];
}

void bystanders::gather() {
  std::uint64_t seen = 0;
  instant patience = now() + options_.timeout.count();
  while (!gathered() && now() < patience && !stop_.load(std::memory_order_relaxed)) {
    turn();
    if (there_ == 0 && failures_ >= std::min<std::uint64_t>(failures_to_give_up, all_.size()))
      break;
    const std::uint64_t reached = std::uint64_t{started_} + there_;
    if (reached > seen) patience = now() + options_.timeout.count();
    seen = std::max(seen, reached);
  }
  found_.present = there_;
  found_.ended = 0;
}

void bystanders::keep() {
  kept_ = true;
  thread_ = std::thread([this] {
    while (!over_.load(std::memory_order_relaxed)) turn();
  });
}

void bystanders::finish() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

bool bystanders::gathered() const noexcept {
  if (started_ < all_.size()) return false;
  return std::all_of(all_.begin(), all_.end(),
                     [](const bystander& one) { return one.there || one.how != manner::idle; });
}

void bystanders::turn() {
  start_some();
  turn_terms terms{.until = deadline::at(next_tick_), .now = now()};
  const int count = poller_.turn(changes_, events_, terms);
  changes_.clear();
  if (count < 0) throw std::runtime_error(error("turn", poller_.name(), -count).text());
  for (int i = 0; i < count; ++i) on_event(events_[static_cast<std::size_t>(i)]);
  if (now() >= next_tick_) tick();
}

// Those that wait for an answer are as many as a small queue takes.
void bystanders::start_some() {
  while (allowance_ > 0 && started_ < all_.size()) start(started_++);
}

// A tenth of them acts, so that they don't all do at once.
void bystanders::tick() {
  next_tick_ = now() + tick_length.count();
  allowance_ = made_in_a_tick - std::min(awaited_, made_in_a_tick);
  ++ticks_;
  for (std::uint32_t i = ticks_ % ticks_of_a_round; i < started_; i += ticks_of_a_round) {
    if (all_[i].fd) {
      act(all_[i]);
    } else if (allowance_ > 0 && (!kept_ || all_[i].how != manner::idle)) {
      start(i);
    }
  }
}

void bystanders::start(std::uint32_t index) {
  --allowance_;
  bystander& one = all_[index];
  unique_fd made(sockets::open_stream(options_.target.family()));
  int failed = made ? 0 : made.get();
  if (failed == 0 && !options_.target.is_unix()) {
    sockets::reset_on_close(made.get());
    failed = sources_.bind_next(made.get());
  }
  if (failed == 0 && one.how == manner::deaf) {
    sockets::set_receive_buffer(made.get(), deaf_buffer);
    sockets::set_send_buffer(made.get(), deaf_buffer);
  }
  if (failed == 0) failed = sockets::connect(made.get(), options_.target);
  // A Unix listener's queue may be full, and there is room at another time.
  if (failed != 0 && failed != -EINPROGRESS) {
    if (!sockets::would_block(failed)) ++failures_;
    return;
  }
  if (one.how == manner::idle) ++awaited_;
  if (kept_) ++found_.made_again;
  one.fd = std::move(made);
  one.sent = one.received = 0;
  changes_.push_back(
      {.subject = token(role::connection, index, ++one.generation), .fd = one.fd.get()});
  if (one.how != manner::idle) arrive(one);
  act(one);
}

void bystanders::act(bystander& one) {
  switch (one.how) {
    case manner::idle:
      if (one.sent < options_.bytes) send(one, options_.bytes - one.sent);
      return;
    case manner::silent:
      return;
    case manner::dribbling:
      send(one, 1);
      return;
    case manner::deaf:
      while (one.fd && one.sent < deaf_bytes && send(one, deaf_bytes - one.sent)) {
      }
  }
}

/// Whether all of it went, up to the size of the buffer.
bool bystanders::send(bystander& one, std::uint64_t length) {
  const std::size_t whole = std::min<std::uint64_t>(length, buffer_.size());
  const int sent = sockets::send(one.fd.get(), std::span(buffer_).first(whole));
  if (sent < 0 && !not_yet(sent)) end(one);
  if (sent > 0) one.sent += static_cast<std::uint64_t>(sent);
  return sent > 0 && static_cast<std::size_t>(sent) == whole;
}

void bystanders::on_event(const event& seen) {
  bystander& one = all_[seen.subject.slot()];
  if (seen.subject.generation() != one.generation || !one.fd) return;
  if (seen.kind == event_kind::failed) return end(one);
  if (one.how == manner::idle) act(one);
  if (!one.fd) return;
  if (one.how != manner::deaf) return read(one, readiness::cause(seen.result));
  if ((seen.result & (readiness::end | readiness::error)) != 0) end(one);
}

void bystanders::read(bystander& one, int cause) {
  for (;;) {
    const int got = sockets::receive(one.fd.get(), buffer_);
    if (got == 0 && cause == 0 && options_.bytes == 0) arrive(one);
    if (got <= 0 && !not_yet(got)) return end(one);
    if (got < 0) return;
    one.received += static_cast<std::uint64_t>(got);
    if (one.received >= options_.bytes) arrive(one);
  }
}

void bystanders::arrive(bystander& one) noexcept {
  if (std::exchange(one.there, true)) return;
  ++there_;
  if (one.how == manner::idle) --awaited_;
}

void bystanders::end(bystander& one) noexcept {
  one.fd.reset();
  if (!std::exchange(one.there, false)) {
    ++failures_;
    --awaited_;
    return;
  }
  --there_;
  ++found_.ended;
}

}  // namespace hinge::bench
