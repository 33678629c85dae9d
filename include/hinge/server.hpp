// server<Poller, Handler>: several loops, each in a thread of its own.
#pragma once

#include <hinge/loop.hpp>
#include <hinge/server_base.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace hinge {

/// Nothing is shared between its loops but what the accept policy needs: each has its poller, its
/// table and its handler. open(), listen(), start(), then drain() or stop(), and join().
template <poller Poller, handler Handler>
class server : public server_base {
public:
  using loop_type = loop<Poller, Handler>;
  using handler_factory = std::function<Handler(std::uint32_t index)>;
  using poller_factory = std::function<Poller()>;

  /// `handlers` makes that of each loop, in open() or, with thread_per_connection, in the accepting
  /// thread. `pollers` makes them where Poller is to be given (any_poller).
  explicit server(handler_factory handlers, poller_factory pollers = {})
      : handlers_(std::move(handlers)), pollers_(std::move(pollers)) {}
  ~server() { end(); }

  /// Once, before anything else. Errors: EOPNOTSUPP when the backend or the system can't do what
  /// the policy needs, and says what; EINVAL with the option's name; whatever the loops say.
  result<void> open(const server_options& options = {}) noexcept { return open_base(options); }

  /// Loop i, to be used in its own thread, or before start() and after join().
  loop_type& loop_at(std::uint32_t index) noexcept { return *loops_[index]; }

  /// Calls `tell` with each loop that there is; where loop_at() may be used.
  template <class Tell>
  void each_loop(Tell tell) {
    for (const auto& one : loops_)
      if (one) tell(*one);
  }

  /// Of the loop that accepts for the others, or else of the first: which backend it has become.
  Poller& first_poller() noexcept { return acceptor_ ? acceptor_->poller() : loops_[0]->poller(); }

private:
  /// Nothing that it accepts is its own.
  struct accepts_only {
    void on_data(connection, std::span<std::byte>) noexcept {}
  };
  using acceptor_type = loop<Poller, accepts_only>;

  template <class Loop, class H>
  std::unique_ptr<Loop> made(H&& handler) {
    if constexpr (std::is_move_constructible_v<Poller>) {
      if (pollers_)
        return std::unique_ptr<Loop>(new (std::nothrow) Loop(pollers_(), std::forward<H>(handler)));
    }
    return std::unique_ptr<Loop>(new (std::nothrow) Loop(std::forward<H>(handler)));
  }

  void expect_loops(std::uint32_t count) noexcept override { loops_.resize(count); }
  loop_base* make_loop(std::uint32_t index) noexcept override {
    if (index == acceptor) {
      acceptor_ = made<acceptor_type>(accepts_only());
      return acceptor_.get();
    }
    std::unique_ptr<loop_type>& mine = loops_[index];
    // Made before, for a policy that its poller refused.
    mine = made<loop_type>(mine ? std::move(mine->handler()) : handlers_(index));
    return mine.get();
  }
  result<void> open_loop(std::uint32_t index, const loop_options& options) noexcept override {
    return index == acceptor ? acceptor_->open(options) : loops_[index]->open(options);
  }
  int run_loop(std::uint32_t index) noexcept override {
    return index == acceptor ? acceptor_->turn() : loops_[index]->run();
  }
  void drain_loop(std::uint32_t index, nanoseconds timeout) noexcept override {
    index == acceptor ? acceptor_->drain(timeout) : loops_[index]->drain(timeout);
  }

  handler_factory handlers_;
  poller_factory pollers_;
  std::vector<std::unique_ptr<loop_type>> loops_;
  std::unique_ptr<acceptor_type> acceptor_;
};

}  // namespace hinge
