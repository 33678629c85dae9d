#include "simulator/sim_poller.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace hinge::sim {

namespace {

// Real time: a loop that sleeps longer than this for ever has lost a wake-up.
constexpr auto longest_sleep = std::chrono::seconds(20);

}  // namespace

struct poller_model::report {
  std::span<event> events;
  std::size_t filled = 0;

  void put(const event& what) { events[filled++] = what; }
  std::size_t room() const { return events.size() - filled; }
};

poller_model::~poller_model() {
  if (net_ != nullptr && net_->poller == this) net_->poller = nullptr;
}

result<void> poller_model::open(const poller_options& options) noexcept {
  if (options.accepts_per_turn == 0 || options.receive_buffers == 0 ||
      options.receive_buffer_bytes == 0)
    return fail("open simulator", "a number is 0", EINVAL);
  net_ = &network::current();
  net_->poller = this;
  engine_ = completes_ ? make_completion_engine(*net_, options) : make_readiness_engine(*net_);
  accepts_.open(*net_, completes_ ? net_->with.ahead : 0);
  peers_.resize(options.accepts_per_turn);
  return {};
}

poller_limits poller_model::limits() const noexcept {
  poller_limits all = engine_->limits();
  all.peers = peers_.data();
  return all;
}

bool poller_model::sends(int fd) const { return engine_->sends(fd); }
bool poller_model::holds(int fd) const { return accepts_.holds(fd) || engine_->holds(fd); }

void poller_model::closed(int fd) { engine_->closed(fd); }

void poller_model::wake() const noexcept {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  waking_.notify_one();
}

/// Nothing happens by itself any more: the time passes, or another thread wakes. False: nobody did.
bool poller_model::wait(deadline until) {
  if (!until.is_never()) {
    net_->now = std::max(net_->now, until.when());
    return false;
  }
  std::unique_lock lock(mutex_);
  if (waking_.wait_for(lock, longest_sleep, [this] { return woken_; })) return true;
  net_->violation("sleeps for ever");
  return false;
}

void poller_model::apply(const change& wanted, report& out) {
  const bool listener = wanted.subject.what() == role::listener;
  const std::optional<event> answer = listener ? accepts_.apply(wanted) : engine_->apply(wanted);
  if (answer) out.put(*answer);
}

void poller_model::tell_accepted(report& out, std::uint32_t accept_room) {
  std::vector<token> listeners;
  accepts_.talkative(listeners);
  net_->random.shuffle(listeners);
  std::uint32_t told = 0;
  for (std::size_t i = 0; i < listeners.size() && told < accept_room;) {
    const auto next = accepts_.next(listeners[i]);
    if (!next || net_->random.chance(0.5)) ++i;
    if (!next) continue;
    peers_[told] = next->peer;
    event what = next->what;
    if (what.kind == event_kind::accepted && what.result >= 0)
      what.buffer = static_cast<std::uint16_t>(told);
    ++told;
    out.put(what);
  }
}

void poller_model::tell_of_connections(report& out, std::size_t room) {
  std::vector<token> subjects;
  engine_->talkative(subjects);
  net_->random.shuffle(subjects);
  for (std::size_t i = 0; i < subjects.size() && room != 0;) {
    if (net_->random.chance(net_->with.delay)) {
      ++i;
      continue;
    }
    const auto next = engine_->next(subjects[i]);
    if (!next || net_->random.chance(0.5)) ++i;
    if (!next) continue;
    out.put(*next);
    --room;
  }
}

void poller_model::tell(report& out, std::uint32_t accept_room) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(woken_, false)) out.put({.kind = event_kind::woken});
  }
  accepts_.advance();
  engine_->advance();
  std::size_t room = out.room();
  if (room > 1 && net_->random.chance(net_->with.truncate))
    room = net_->random.between(1, static_cast<std::uint32_t>(room));
  // Accepts have a share of their own, so that other events can't starve them; of a single place
  // it is a half.
  std::size_t share = std::min<std::size_t>({accept_room, peers_.size(), room / 2});
  if (room == 1 && accept_room != 0 && net_->random.chance(0.5)) share = 1;
  const std::size_t limit = out.filled + room;
  if (net_->random.chance(0.5)) {
    tell_of_connections(out, room - share);
    tell_accepted(out, static_cast<std::uint32_t>(std::min(share, limit - out.filled)));
  } else {
    tell_accepted(out, static_cast<std::uint32_t>(share));
    tell_of_connections(out, limit - out.filled);
  }
}

int poller_model::turn(std::span<const change> changes, std::span<event> events,
                       turn_terms& terms) noexcept {
  if (events.size() < changes.size() + least_event_room) return -EINVAL;
  report out{events};
  for (const change& wanted : changes) apply(wanted, out);
  net_->now = std::max(net_->now, terms.now);
  if (net_->random.chance(net_->with.slow_clock))
    net_->now += net_->random.below(static_cast<std::size_t>(net_->with.longest_turn_ns));

  tell(out, terms.accept_room);
  // What was only put off is no reason to wait.
  const bool put_off = net_->with.delay > 0 || net_->with.truncate > 0;
  std::vector<token> untold;
  engine_->talkative(untold);
  if (terms.accept_room != 0) accepts_.talkative(untold);
  if (out.filled == 0 && (untold.empty() || !put_off) && !terms.until.passed(net_->now) &&
      wait(terms.until))
    tell(out, terms.accept_room);
  terms.now = net_->now;
  return static_cast<int>(out.filled);
}

}  // namespace hinge::sim
