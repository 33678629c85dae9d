#include "simulation/scenario.hpp"

#include <hinge/loop.hpp>

#include "simulation/improviser.hpp"
#include "simulation/model.hpp"
#include "simulator/sim_poller.hpp"
#include "support/accounts.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

namespace hinge::sim {

namespace {

using namespace std::chrono_literals;

constexpr int most_turns = 100'000;  // of a phase that must come to its end

nanoseconds random_timeout(random_source& random) {
  if (random.chance(0.3)) return nanoseconds(0);
  if (random.chance(0.1)) return std::chrono::seconds(random.between(1, 100));
  return std::chrono::microseconds(random.between(500, random.chance(0.5) ? 20'000 : 2'000'000));
}

conditions random_conditions(random_source& random) {
  // Some seeds without surprises of a kind, so that they don't hide one another.
  const auto some = [&](double most) {
    return random.chance(0.4) ? 0 : most * random.below(1000) / 1000;
  };
  conditions made;
  made.descriptors = random.chance(0.2) ? random.between(4, 16) : 4096;
  made.receive_buffer_bytes = random.between(1, 5000);
  made.send_buffer_bytes = random.between(1, 5000);
  made.short_receive = some(0.5);
  made.short_send = some(0.5);
  made.urgent = some(0.5);
  made.reset_drops_unread = some(1);
  made.accept_interrupted = some(0.2);
  made.accept_aborted = some(0.2);
  made.accept_exhausted = some(0.1);
  made.longest_episode = random.between(1, 8);
  made.delay = some(0.6);
  made.truncate = some(0.8);
  made.spurious = some(0.1);
  made.stale = some(0.1);
  made.split = some(1);
  made.refuse = some(0.02);
  made.more_ends = some(0.3);
  made.no_buffers = some(0.5);
  made.tell_cancelled = some(1);
  made.slow_clock = some(1);
  made.ahead = random.between(1, 6);
  made.asks_to_send = random.chance(0.5);
  return made;
}

loop_options random_options(random_source& random) {
  loop_options made;
  made.max_connections = random.between(1, random.chance(0.3) ? 3 : 32);
  made.accepts_per_turn = random.between(1, 8);
  made.events_per_turn = std::max(8U, made.accepts_per_turn + 2) + random.below(32);
  made.receive_buffer_bytes = random.between(1, random.chance(0.5) ? 32 : 4000);
  made.receives_per_event = random.between(1, 4);
  made.queue_high_bytes = random.between(1, random.chance(0.5) ? 200 : 20'000);
  made.queue_low_bytes = random.below(made.queue_high_bytes);
  made.ring_buffer_bytes = random.between(1, random.chance(0.5) ? 32 : 2000);
  made.queue_limit_bytes =
      made.queue_high_bytes + std::max(made.receive_buffer_bytes, made.ring_buffer_bytes);
  made.queue_limit_bytes += random.below(60'000);
  made.queue_total_bytes = 256 * 1024;
  made.receive_buffers = 1U << random.below(5);
  made.first_byte_timeout = random_timeout(random);
  made.idle_timeout = random_timeout(random);
  made.write_stall_timeout = random_timeout(random);
  made.drain_timeout = random_timeout(random);
  made.half_closed_limit = random_timeout(random);
  if (random.chance(0.4)) made.on_exhaustion = exhaustion::shed_reset;
  return made;
}

/// A loop of which the segments can be counted.
template <class Poller>
struct open_loop : loop<Poller, improviser> {
  using loop_base::segments_;
};

template <class Poller>
class scenario {
public:
  explicit scenario(random_source from) : net_(from), running_(new open_loop<Poller>) {
    net_.with = random_conditions(net_.random);
    running_->handler().open(model_, net_);
    if (net_.random.chance(0.2)) {
      deaf_ = 0.9;
      running_->handler().talk();
    }
  }

  std::string run() {
    open();
    for (std::uint32_t steps = net_.random.between(20, 400); steps != 0 && !failed(); --steps)
      step();
    if (!failed()) settle();
    if (!failed()) finish();
    return model_.outcome.what();
  }

private:
  void open();
  void step();
  void turn(nanoseconds wait);
  void check_deadlines();
  void come();
  void play(std::size_t number);
  void leave(std::size_t number);
  void settle();
  void quiesce();
  void check_settled();
  void check_segments();
  void finish();
  bool failed() const { return model_.outcome.failed(); }

  network net_;
  model model_;
  std::unique_ptr<open_loop<Poller>> running_;
  bool stopping_ = false;
  double deaf_ = 0.2;  // share of the peers that never read
};

template <class Poller>
void scenario<Poller>::open() {
  const loop_options options = random_options(net_.random);
  const result<void> opened = running_->open(options);
  if (!opened) return model_.outcome.fail(opened.error().text());
  const auto listeners = std::min(3U, net_.with.descriptors / 4);
  for (std::uint32_t i = net_.random.below(listeners) + 1; i != 0; --i)
    model_.outcome.check(bool(running_->listen(address::loopback(0))), "listen failed");
  if (!failed() && net_.random.chance(0.2))
    running_->set_door(0, {.max_pending = net_.random.between(1, 8)});
}

/// A turn, and what holds after each.
template <class Poller>
void scenario<Poller>::turn(nanoseconds wait) {
  const int turned = running_->turn(deadline::after(running_->now(), wait));
  if (turned < 0) model_.outcome.fail("turn: " + std::string(errno_name(-turned)));
  if (const std::string wrong = test::wrong_in_accounts(*running_); !wrong.empty())
    model_.outcome.fail("the accounts are wrong: " + wrong);
  model_.outcome.check(running_->open_connections() == running_->handler().open_now(),
                       "on_accept and on_close don't match");
  if (!net_.violations().empty()) model_.outcome.fail(net_.violations().front());
  check_deadlines();
}

/// Nobody outlives a deadline by more than two ticks of the wheel.
template <class Poller>
void scenario<Poller>::check_deadlines() {
  const loop_options& options = running_->options();
  const connection_table& table = running_->table();
  const auto overdue = [&](instant since, nanoseconds timeout) {
    constexpr instant late = instant{2} << deadline_wheel::tick_bits;
    return timeout.count() != 0 && running_->now() - since > timeout.count() + late;
  };
  for (std::uint32_t slot = 0; slot < table.touched(); ++slot) {
    const hot_entry& h = table.hot(slot);
    const cold_entry& c = table.cold(slot);
    if (h.state == connection_state::open) {
      model_.outcome.check(h.bytes_in != 0 || !overdue(c.opened, options.first_byte_timeout),
                           "a first byte is overdue");
      model_.outcome.check(!overdue(h.last_activity, options.idle_timeout), "idle for too long");
      model_.outcome.check(h.queued == 0 || !overdue(c.since, options.write_stall_timeout),
                           "stalled for too long");
    }
    if (h.state == connection_state::draining)
      model_.outcome.check(!overdue(c.since, options.drain_timeout), "drains for too long");
  }
}

template <class Poller>
void scenario<Poller>::step() {
  random_source& random = net_.random;
  if (model_.actors.size() < 40 && random.chance(0.3)) come();
  for (std::size_t i = 0; i < model_.actors.size(); ++i) play(i);
  if (random.chance(0.1)) running_->post([this] { running_->handler().act_on_any(); });
  if (random.chance(0.05)) running_->handler().resume_all();
  if (random.chance(0.002)) {
    stopping_ = true;
    running_->drain(random_timeout(random));
  }
  // The process is stopped, or a handler takes its time.
  if (random.chance(0.003)) net_.now += random.between(1, 200) * 1'000'000'000LL;
  turn(random.chance(0.7) ? 0ns : random_timeout(random));
}

template <class Poller>
void scenario<Poller>::come() {
  const std::size_t listener = net_.random.below(running_->listeners());
  peer end = net_.connect(running_->listener_at(listener).local());
  if (!end) return;
  actor made;
  made.end = std::move(end);
  made.to_send =
      net_.random.chance(0.2) ? 0 : net_.random.below(net_.random.chance(0.2) ? 20'000 : 500);
  made.reads = net_.random.chance(deaf_) ? 0 : net_.random.below(100) / 100.0;
  made.writes = net_.random.below(100) / 100.0;
  made.quits = net_.random.chance(0.5) ? 0 : 0.02;
  model_.actors.push_back(std::move(made));
  model_.servers.push_back({});
  model_.servers.back().closes = -1;
}

template <class Poller>
void scenario<Poller>::play(std::size_t number) {
  random_source& random = net_.random;
  actor& one = model_.actors[number];
  if (one.gone) return;
  if (!one.over && random.chance(one.writes)) {
    model_.send(number, random.below(2000));
    if (one.sent == one.to_send && random.chance(0.3)) {
      one.end.shutdown();
      one.over = true;
    }
  }
  if (random.chance(one.reads)) model_.receive(number, random.below(3000));
  if (random.chance(one.quits)) leave(number);
}

template <class Poller>
void scenario<Poller>::leave(std::size_t number) {
  actor& one = model_.actors[number];
  const std::uint32_t how = net_.random.below(3);
  one.over = true;
  if (how == 0) return one.end.shutdown();
  one.gone = true;
  how == 1 ? one.end.close() : one.end.reset();
}

/// Turns without time passing, until nothing happens any more. Who reads reads everything.
template <class Poller>
void scenario<Poller>::quiesce() {
  int still = 0;
  for (int i = 0; i < most_turns && still < 5 && !failed(); ++i) {
    std::uint64_t received = 0;
    for (std::size_t n = 0; n < model_.actors.size(); ++n) {
      if (model_.actors[n].gone) continue;
      received -= model_.actors[n].received;
      model_.receive(n, ~std::size_t{0});
      received += model_.actors[n].received;
    }
    const loop_counters before = running_->counters();
    turn(0ns);
    const loop_counters& after = running_->counters();
    const bool same = after.events == before.events && after.bytes_in == before.bytes_in &&
                      after.bytes_out == before.bytes_out;
    still = same && received == 0 ? still + 1 : 0;
  }
  if (still < 5) model_.outcome.fail("it never comes to rest");
}

/// The world calms down: whatever can make progress has to.
template <class Poller>
void scenario<Poller>::settle() {
  net_.calm();
  net_.with.descriptors = conditions().descriptors;
  running_->handler().calm();
  running_->handler().resume_all();
  quiesce();
  // Listeners that wait for a descriptor wait a second at most.
  const instant end = running_->now() + 1'100'000'000;
  while (running_->now() < end && !running_->finished() && !failed())
    turn(nanoseconds(end - running_->now()));
  running_->handler().resume_all();
  quiesce();
  if (!failed()) check_settled();
}

template <class Poller>
void scenario<Poller>::check_settled() {
  const connection_table& table = running_->table();
  for (std::uint32_t slot = 0; slot < table.touched(); ++slot) {
    const hot_entry& h = table.hot(slot);
    if (h.state == connection_state::free) continue;
    model_.outcome.check(h.state == connection_state::open || h.state == connection_state::draining,
                         "a connection is left between its states");
    if (h.fd < 0 || net_.stream_of(h.fd) == nullptr) {
      model_.outcome.fail("an open connection without a descriptor");
      return;
    }
    const stream& far = *net_.stream_of(h.fd);
    if (far.peer_closed || far.dead) continue;  // nobody reads what is queued
    model_.outcome.check(h.queued == 0, "queued bytes don't go out");
    model_.outcome.check(h.state == connection_state::open, "a drain doesn't end");
    model_.outcome.check(far.incoming.empty(), "bytes that arrived are not read");
    const served& one = model_.servers[far.number];
    model_.outcome.check(one.ended || !far.peer_ended, "an end was not told");
    model_.outcome.check(far.end_sent || !one.shut_here, "a shutdown was not made");
    model_.outcome.check(!one.ended || !one.shut_here, "open, and both sides have ended");
  }
  if (stopping_ || running_->open_connections() == running_->options().max_connections) return;
  for (std::size_t i = 0; i < running_->listeners(); ++i) {
    const listening* const at = net_.listener_of(running_->listener_at(i).fd());
    model_.outcome.check(at != nullptr && at->waiting.empty(), "somebody waits to be accepted");
  }
}

/// All segments of the pool can be had: none has been lost.
template <class Poller>
void scenario<Poller>::check_segments() {
  segment_chain chain;
  const std::vector<std::byte> bytes(segment_pool::segment_bytes);
  segment_pool& pool = running_->segments_;
  std::size_t referred = 0;
  while (pool.append_reference(chain, {bytes.data(), 0}, 0)) ++referred;
  model_.outcome.check(referred == pool.references(), "references are lost");
  std::size_t had = 0;
  while (pool.append(chain, bytes)) ++had;
  const std::size_t all = running_->options().queue_total_bytes / segment_pool::segment_bytes;
  model_.outcome.check(had == all, "segments are lost");
}

template <class Poller>
void scenario<Poller>::finish() {
  for (std::size_t i = 0; i < model_.actors.size(); ++i)
    if (!model_.actors[i].gone && net_.random.chance(0.5)) leave(i);
  const bool at_once = net_.random.chance(0.3);
  if (!at_once) {
    net_.random.chance(0.5) ? running_->drain(10ms) : running_->stop();
    int turns = 0;
    for (; turns < most_turns && !running_->finished() && !failed(); ++turns) turn(1s);
    model_.outcome.check(running_->finished(), "a stopped loop doesn't finish");
    if (failed()) return;
    for (int i = 0; i < 100 && net_.lent_buffers != 0; ++i) turn(0ns);
    model_.outcome.check(net_.lent_buffers == 0, "received buffers are lost");
    check_segments();
  }
  running_.reset();
  if (!net_.violations().empty()) model_.outcome.fail(net_.violations().front());
  model_.outcome.check(net_.open_descriptors() == 0, "descriptors are left open");
  for (std::size_t i = 0; i < model_.servers.size(); ++i) {
    const served& one = model_.servers[i];
    model_.outcome.check(one.closes == 1 || one.closes == -1, "a connection without an on_close");
    if (!model_.actors[i].gone) model_.receive(i, ~std::size_t{0});
  }
}

}  // namespace

std::string simulate(family_of_backends family, random_source from) {
  if (family == family_of_backends::readiness) return scenario<readiness_poller>(from).run();
  return scenario<completion_poller>(from).run();
}

}  // namespace hinge::sim
