// What a loop and its listeners measure of themselves besides counting: times, and the queue.
#pragma once

#include <hinge/export.hpp>
#include <hinge/listener.hpp>
#include <hinge/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace hinge {

/// Times of a loop with loop_options::work_clock, taken once a turn.
struct loop_meter {
  instant (*clock)() noexcept = nullptr;  // null: nothing is measured
  bool begun = false;                     // the first turn
  instant since = 0;                      // open(), then the beginning of the first turn
  instant worked = 0;                     // up to the end of the last wait
  instant last_work = 0;                  // from the wait before the last one to the last one
  instant longest_work = 0;
  std::uint64_t accepted_before = 0;  // when that work was done

  bool measures() const noexcept { return clock != nullptr; }
  /// The work of a turn is done: `woken` is when its wait was over. Returns how many connections it
  /// has accepted, of `accepted` in all. Before the first turn nobody worked: what is between
  /// open() and run() is the program's time.
  std::uint64_t work_done(instant woken, std::uint64_t accepted) noexcept {
    const instant done = clock();
    if (!std::exchange(begun, true)) woken = since = done;
    last_work = std::max<instant>(done - woken, 0);
    worked += last_work;
    longest_work = std::max(longest_work, last_work);
    return accepted - std::exchange(accepted_before, accepted);
  }
};

/// Of a listener.
struct door_meter {
  static constexpr instant long_pause = 1'000'000;  // after which the queue is looked at

  std::uint64_t pauses = 0;
  instant paused = 0;  // those that are over
  instant paused_at = 0;
  bool pausing = false;
  std::uint32_t most_waiting = 0;
  // With a work_clock:
  std::uint64_t accepted = 0;
  std::uint64_t turns = 0;  // that accepted something
  std::uint64_t last_turn = 0;
  instant lag = 0;  // sum over these turns
  instant longest_lag = 0;

  /// Before each turn in which something about the listeners may have changed: whether this one
  /// accepts from here on. `index` and `exhausted` (rather than that there is no room) are for who
  /// watches.
  void accepts(bool from_now_on, const listener& socket, std::size_t index, bool exhausted,
               instant now) noexcept {
    if (from_now_on == pausing) turn_over(socket, index, exhausted, now);
  }
  /// It has died: nobody waits for it any more.
  void end(instant now) noexcept {
    if (std::exchange(pausing, false)) paused += now - paused_at;
  }
  /// Looks at the queue, if the system tells; see listener::waiting().
  HINGE_API std::optional<std::uint32_t> look(const listener& socket) noexcept;
  /// A connection has come in that turn, before which the loop had worked so long.
  void accepted_in(std::uint64_t turn, instant work) noexcept {
    ++accepted;
    if (std::exchange(last_turn, turn) == turn) return;
    ++turns;
    lag += work;
    longest_lag = std::max(longest_lag, work);
  }

private:
  HINGE_API void turn_over(const listener& socket, std::size_t index, bool exhausted,
                           instant now) noexcept;
};

}  // namespace hinge
