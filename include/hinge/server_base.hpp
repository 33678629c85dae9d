// All of a server that doesn't depend on its loops' type: threads, listeners, statistics.
#pragma once

#include <hinge/accept_policy.hpp>
#include <hinge/door.hpp>
#include <hinge/listener.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/retirement.hpp>
#include <hinge/server_options.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace hinge {

class server_base {
public:
  server_base(const server_base&) = delete;
  server_base& operator=(const server_base&) = delete;

  /// Loops: those that serve, without the one that only accepts.
  HINGE_API std::uint32_t loops() const noexcept;
  /// Most connections at one time, of all loops. After open().
  HINGE_API std::uint64_t max_connections() const noexcept;
  /// What `automatic` has become, and why. After open().
  HINGE_API accept_policy policy() const noexcept;
  HINGE_API std::string_view policy_reason() const noexcept;

  /// Opens what the policy wants: a listener for each loop, or one for all. Before start(). Returns
  /// its index, which connections carry. Nothing is left behind by a failure. Errors: the
  /// listener's own; EOPNOTSUPP where the policy can't do it (a Unix path has one socket alone, so
  /// it isn't sharded; connections, and those that are pending, aren't counted across loops, so
  /// they have no limits of a listener with dispatch).
  HINGE_API result<std::size_t> listen(const address& where, const listener_options& options = {},
                                       const door_options& door = {}) noexcept;
  /// The same on sockets that listen already, all at one address: of a predecessor or a supervisor
  /// (given_listener). As many as came are served, whatever the policy was there: where each loop
  /// has one of its own, more are opened beside them until each has as many as any other; where
  /// they share, each has all of them. Returns the index of the first; others may follow.
  /// `options` are for those that are opened. Errors besides: EINVAL, none, or of several
  /// addresses; EOPNOTSUPP, more are wanted beside one without SO_REUSEPORT.
  HINGE_API result<std::size_t> listen(std::vector<listener> given,
                                       const listener_options& options = {},
                                       const door_options& door = {}) noexcept;
  /// What that would refuse, before anything is done to them: `sockets` at one address, which have
  /// SO_REUSEPORT or not. After open().
  HINGE_API result<void> may_listen(const address& where, std::size_t sockets, bool reuse_port,
                                    const door_options& door = {}) const noexcept;
  /// Whether several loops have a socket each, which listen() opens with reuse_port. After open().
  HINGE_API bool opens_groups() const noexcept;
  /// Each socket that it listens on, with its index; loop by loop where each has its own.
  /// What a successor is given. Before start(), or after join().
  HINGE_API void each_listener(
      const std::function<void(std::size_t index, const listener&)>& tell) const noexcept;
  /// listener::set_path_file() of that one. Before start(), or any thread until drain() or
  /// stop().
  HINGE_API void set_path_file(std::size_t index, const path_identity& file) noexcept;
  /// In place of the door_options that it was opened with, from the next connection on; each of the
  /// loops that listen hears of it in its next turn, and counts by itself. Before start(), or any
  /// thread. Errors: EOPNOTSUPP as by listen().
  HINGE_API result<void> set_door(std::size_t index, const door_options& door) noexcept;
  /// Where that one listens, with the real port: any thread. How long its queue is, and what else
  /// its descriptor tells: before start(), or after join(). Of the first loop, if each has its own.
  HINGE_API const listener& listener_at(std::size_t index) const noexcept;
  HINGE_API std::size_t listeners() const noexcept;

  /// Runs each loop in a thread of its own, which inherits the caller's signal mask. On failure
  /// none is left running. Errors: pthread_create with its errno; EINVAL when it has been started,
  /// or isn't open.
  HINGE_API result<void> start() noexcept;
  /// What retiring can promise now, listener by listener; after drain() or stop() nothing is left
  /// to retire, nor of a loop that has ended; a listener that its loop closes by itself in the same
  /// moment counts, or doesn't. From start() on; any thread but the loops'.
  HINGE_API std::vector<retire_plan> plan_retirement(const retire_options& how = {}) const noexcept;
  HINGE_API retire_plan plan_retirement(std::size_t index,
                                        const retire_options& how = {}) const noexcept;
  /// Stops accepting and loses nobody, as far as plan_retirement() says; the loops go on with what
  /// they have. Waits until all listeners, or that one, are closed, and says what became of their
  /// clients, all together; drain() or stop() end it at once. From start() to join(), once at a
  /// time; any thread but the loops'.
  HINGE_API retire_report retire(const retire_options& how = {}) noexcept;
  /// The same, each listener in its own way.
  HINGE_API retire_report retire(std::span<const retire_options> of_each) noexcept;
  HINGE_API retire_report retire(std::size_t index, const retire_options& how = {}) noexcept;

  /// Each loop tells its connections to end soon (loop::wind_down), and goes on: before retire(),
  /// so that those who wait have room. From start() on; any thread.
  HINGE_API void wind_down() noexcept;
  /// Stops accepting, and lets what is open end within `timeout` from now on (loop::drain). Any
  /// thread, also before start() or beside it: the loops end as soon as they have begun.
  HINGE_API void drain(nanoseconds timeout) noexcept;
  /// Closes everything at once (loop_base::stop). As drain().
  HINGE_API void stop() noexcept;
  /// Waits until all loops have ended. The error of the first that broke. One thread at a time.
  /// A loop that ends by itself (its handler stops it, or its poller breaks) gets nobody any more,
  /// and the others go on; whom it had not begun to serve is theirs, where one thread accepts. When
  /// none is left the ports are free soon.
  HINGE_API result<void> join() noexcept;

  /// Runs `task` in the thread of loop i, as loop_base::post. False: there is no such loop yet, and
  /// nothing is run (thread_per_connection makes them when they are wanted). Any thread, from
  /// start() to join().
  HINGE_API bool post(std::uint32_t loop, mailbox::function task) noexcept;
  /// The same in the thread of each loop that there is, with the loop's index.
  HINGE_API void post_all(const std::function<void(std::uint32_t)>& task) noexcept;

  /// As it is now: each loop copies its own between two turns, and is waited for, all of them
  /// together at most so long. Any thread but the loops' own.
  HINGE_API server_statistics statistics(nanoseconds patience = nanoseconds::max()) const noexcept;

protected:
  HINGE_API server_base() noexcept;
  HINGE_API ~server_base();

  /// Makes the loops that the options want, and opens them as the policy wants. Once.
  HINGE_API result<void> open_base(const server_options& options) noexcept;
  /// Stops, and waits. Before the loops go.
  HINGE_API void end() noexcept;

  /// The index of the loop that accepts for the others.
  static constexpr std::uint32_t acceptor = 0xffff'ffff;
  /// Before the first is made: how many there may be.
  virtual void expect_loops(std::uint32_t count) noexcept = 0;
  /// Makes a loop anew, in the place of an older one. Null: no memory.
  virtual loop_base* make_loop(std::uint32_t index) noexcept = 0;
  virtual result<void> open_loop(std::uint32_t index, const loop_options& options) noexcept = 0;
  virtual std::string_view backend_of(std::uint32_t index) noexcept = 0;
  /// loop::run. 0 or -errno.
  virtual int run_loop(std::uint32_t index) noexcept = 0;
  virtual int turn_acceptor(deadline until) noexcept = 0;
  virtual void wind_down_loop(std::uint32_t index) noexcept = 0;
  virtual void drain_loop(std::uint32_t index, nanoseconds timeout) noexcept = 0;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace hinge
