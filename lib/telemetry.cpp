#include <hinge/telemetry.hpp>

#include <hinge/probe.hpp>

#include <algorithm>

namespace hinge {

namespace {

std::optional<std::uint32_t> known(int number) noexcept {
  if (number < 0) return {};
  return static_cast<std::uint32_t>(number);
}

std::uint64_t queued_in(const connection_table& table) noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t slot = 0; slot < table.touched(); ++slot) {
    const hot_entry& h = table.hot(slot);
    if (h.state != connection_state::free) sum += h.queued;
  }
  return sum;
}

listener_telemetry look_at(door& d, instant now, bool measures) noexcept {
  door_meter& meter = d.meter();
  listener_telemetry seen;
  seen.where = d.socket().local();
  seen.closed = d.state() > door_state::exhausted;
  seen.accepting = !seen.closed && !meter.pausing;
  seen.waiting = meter.look(d.socket());
  if (seen.waiting || meter.most_waiting != 0) seen.most_waiting = meter.most_waiting;
  seen.asked_backlog = known(d.socket().asked_backlog());
  seen.effective_backlog = known(d.socket().effective_backlog());
  seen.drops = d.socket().drops();
  seen.pauses = meter.pauses;
  seen.paused = nanoseconds(meter.paused + (meter.pausing ? now - meter.paused_at : 0));
  if (measures)
    seen.accepts = {.accepted = meter.accepted,
                    .turns = meter.turns,
                    .lag = nanoseconds(meter.lag),
                    .longest_lag = nanoseconds(meter.longest_lag)};
  return seen;
}

}  // namespace

std::optional<std::uint32_t> door_meter::look(const listener& socket) noexcept {
  const std::optional<std::uint32_t> waiting = socket.waiting();
  if (waiting) most_waiting = std::max(most_waiting, *waiting);
  return waiting;
}

void door_meter::turn_over(const listener& socket, [[maybe_unused]] std::size_t index,
                           [[maybe_unused]] bool exhausted, instant now) noexcept {
  pausing = !pausing;
  if (pausing) {
    HINGE_PROBE2(pause, index, exhausted);
    ++pauses;
    paused_at = now;
    return;
  }
  HINGE_PROBE2(resume, index, now - paused_at);
  const instant length = now - paused_at;
  paused += length;
  if (length >= long_pause) look(socket);
}

/// Before a turn of a loop with a work_clock. A queue may have grown behind a turn that was full.
void loop_base::measure_work() noexcept {
  if (meter_.work_done(now_, counters_.accepted) < options_.accepts_per_turn) return;
  for (door& d : doors_) d.meter().look(d.socket());
}

telemetry::telemetry(loop_base& of) noexcept
    : loop_figures{.counters = of.counters_,
                   .stopping = of.stopping_,
                   .open = of.open_connections(),
                   .max_connections = of.options_.max_connections,
                   .half_closed = of.half_closed(),
                   .queued_bytes = of.segments_.empty() ? 0 : queued_in(of.table_)} {
  if (const auto oldest = of.oldest_half_closed()) oldest_half_closed = oldest->age;
  const loop_meter& meter = of.meter_;
  if (meter.measures())
    work = {.waiting = nanoseconds(std::max<instant>(of.now_ - meter.since - meter.worked, 0)),
            .working = nanoseconds(meter.worked),
            .longest_work = nanoseconds(meter.longest_work)};
  for (door& d : of.doors_) listeners_[listener_count_++] = look_at(d, of.now_, meter.measures());
}

}  // namespace hinge
