// What a server keeps of its loops and their threads.
#pragma once

#include <hinge/connection_inbox.hpp>
#include <hinge/server_base.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cpus.hpp"

namespace hinge {

struct server_base::state {
  /// A loop and its thread.
  struct worker {
    enum phase_type : std::uint8_t { idle, runs, ended };

    state* of = nullptr;
    std::uint32_t index = 0;
    // Null: not made yet (thread_per_connection); then, too, under the mutex, but for the accepting
    // thread, which makes it.
    loop_base* loop = nullptr;
    int cpu = -1;
    std::string_view backend;
    connection_inbox inbox;  // of the accepting thread: those that nobody has room for yet
    bool given = false;      // to be woken; the accepting thread's
    // It has ended, and takes nothing more: its inbox is the accepting thread's, and when that has
    // ended, too, whose the mutex is.
    std::atomic<bool> gone = false;
    pthread_t thread = {};
    bool joinable = false;
    // From here on under the mutex, once it runs.
    phase_type phase = idle;
    bool asked = false;
    bool under_way = false;  // the question; where the loop hangs there is one, and no more
    int broken = 0;
    loop_statistics told;
    std::vector<listener_telemetry> listeners;  // told with it; who asks makes the room
  };
  /// How it ends.
  struct order {
    bool at_once = false;
    deadline until = deadline::immediately();

    nanoseconds left() const noexcept {
      if (until.is_never()) return nanoseconds::max();
      return nanoseconds(std::max<instant>(until.when() - now(), 0));
    }
  };

  state(server_base& of, const server_options& chosen) noexcept : server(of), options(chosen) {}

  /// Resolves defaults; refuses what can't be.
  result<void> plan() noexcept;
  result<void> open_loops() noexcept;
  result<void> open_with(accept_policy which, const char* why) noexcept;
  result<loop_base*> open_one(worker& one, const loop_options& with) noexcept;
  result<void> listen(std::vector<listener> given, const listener_options& options,
                      const door_options& door) noexcept;
  result<std::vector<listener>> for_each_loop(std::vector<listener> given,
                                              const listener_options& options) noexcept;
  result<void> open_more(std::vector<listener>& group, std::size_t wanted,
                         const listener_options& options) noexcept;
  result<void> steer(const std::vector<listener>& group) noexcept;
  bool accepts_apart() const noexcept {
    return policy == accept_policy::dispatch || policy == accept_policy::thread_per_connection;
  }
  /// Each loop has a listener of its own.
  bool shards() const noexcept {
    return policy == accept_policy::sharded || policy == accept_policy::sharded_cpu;
  }
  /// All that are wanted where so many were given: as many rounds as it takes to give them to
  /// somebody; in a round each loop gets one.
  std::size_t wanted_beside(std::size_t given) const noexcept {
    return (given + count - 1) / count * count;
  }
  result<void> check_group(const address& at, std::size_t given, bool reuse_port) const noexcept;
  result<void> check_door(const door_options& door) const noexcept;
  /// Whose loops have the listeners.
  std::span<worker> listening() noexcept {
    return accepts_apart() ? std::span(&accepting, 1) : all_workers();
  }
  const loop_base& who_listens() const noexcept {
    return accepts_apart() ? *accepting.loop : *workers[0].loop;
  }
  std::span<worker> all_workers() noexcept { return {workers.get(), workers ? count : 0}; }

  result<void> begin(worker& one) noexcept;
  static void* run(void* self) noexcept;
  void wind_down(worker& one) noexcept;
  void end(const order& how) noexcept;
  void tell(worker& one, const order& how) noexcept;
  void close_listeners(worker& of) noexcept;
  void close_shared() noexcept;
  retirement retirement_of(std::size_t index, const retire_options& how) noexcept;
  retire_report retire(std::size_t first, std::span<const retire_options> of_each) noexcept;
  void answer(worker& one) noexcept;
  void give_up(worker& one) noexcept;
  server_statistics gathered() noexcept;
  std::vector<listener_telemetry> gathered_listeners() noexcept;

  // --- the thread that accepts for the others ------------------------------------------------
  int accept_for_loops() noexcept;
  std::uint32_t room() noexcept;
  bool give(const handed_connection& accepted) noexcept;
  connection_inbox* waiting() noexcept;
  void give_waiting() noexcept;
  void give_the_rest() noexcept;
  bool all_gone() noexcept;
  void shed_left() noexcept;
  void wake_those_given() noexcept;
  worker* choose() noexcept;
  bool make_next() noexcept;

  server_base& server;
  server_options options;
  loop_options of_each;  // resolved
  accept_policy policy = accept_policy::automatic;
  std::string_view reason;
  std::vector<int> cpus;
  std::uint32_t count = 0;
  std::unique_ptr<worker[]> workers;
  worker accepting;
  std::uint32_t next_worker = 0;
  bool started = false;
  bool winding_down = false;     // under the mutex
  std::vector<listener> shared;  // of which each loop has a duplicate
  std::optional<order> ending;   // under the mutex

  std::mutex asking;
  std::mutex mutex;
  std::condition_variable answered;
  std::uint32_t unanswered = 0;
};

}  // namespace hinge
