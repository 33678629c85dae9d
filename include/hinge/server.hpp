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
class server final : public server_base {
public:
  using loop_type = loop<Poller, Handler>;
  using handler_factory = std::function<Handler(std::uint32_t index)>;
  using poller_factory = std::function<Poller()>;

  /// `handlers` makes that of each loop, in open() or, with thread_per_connection, in the accepting
  /// thread, where it may post(). Where one thread accepts for the loops, it has a handler more, of
  /// index loops(): that hears what becomes of the listeners, and of no connection. `pollers` makes
  /// them where Poller is to be given (any_poller).
  explicit server(handler_factory handlers, poller_factory pollers = {})
      : handlers_(std::move(handlers)), pollers_(std::move(pollers)) {}
  ~server() { end(); }

  /// Once, before anything else. Errors: EOPNOTSUPP when the backend or the system can't do what
  /// the policy needs, and says what; EINVAL with the option's name; whatever the loops say.
  result<void> open(const server_options& options = {}) noexcept { return open_base(options); }

  /// Loop i, to be used in its own thread, or before start() and after join().
  loop_type& loop_at(std::uint32_t index) noexcept { return *loops_[index]; }

  /// Calls `tell` with each loop that there is, the accepting one last; where loop_at() may be
  /// used.
  template <class Tell>
  void each_loop(Tell tell) {
    for (const auto& one : loops_)
      if (one) tell(*one);
    if (acceptor_) tell(*acceptor_);
  }

  /// Of the loop that accepts for the others, or else of the first: which backend it has become.
  Poller& first_poller() noexcept { return acceptor_ ? acceptor_->poller() : loops_[0]->poller(); }

private:
  std::unique_ptr<loop_type> made(Handler&& handler) {
    if constexpr (std::is_move_constructible_v<Poller>) {
      if (pollers_)
        return std::unique_ptr<loop_type>(new (std::nothrow)
                                              loop_type(pollers_(), std::move(handler)));
    }
    return std::unique_ptr<loop_type>(new (std::nothrow) loop_type(std::move(handler)));
  }
  std::unique_ptr<loop_type>& at(std::uint32_t index) noexcept {
    return index == acceptor ? acceptor_ : loops_[index];
  }

  void expect_loops(std::uint32_t count) noexcept override { loops_.resize(count); }
  loop_base* make_loop(std::uint32_t index) noexcept override {
    std::unique_ptr<loop_type>& mine = at(index);
    // Made before, for a policy that its poller refused.
    mine = made(
        mine ? std::move(mine->handler())
             : handlers_(index == acceptor ? static_cast<std::uint32_t>(loops_.size()) : index));
    return mine.get();
  }
  result<void> open_loop(std::uint32_t index, const loop_options& options) noexcept override {
    return at(index)->open(options);
  }
  std::string_view backend_of(std::uint32_t index) noexcept override {
    return at(index)->poller().name();
  }
  int run_loop(std::uint32_t index) noexcept override { return at(index)->run(); }
  int turn_acceptor(deadline until) noexcept override { return acceptor_->turn(until); }
  void wind_down_loop(std::uint32_t index) noexcept override { at(index)->wind_down(); }
  void drain_loop(std::uint32_t index, nanoseconds timeout) noexcept override {
    at(index)->drain(timeout);
  }

  handler_factory handlers_;
  poller_factory pollers_;
  std::unique_ptr<loop_type> acceptor_;  // accepts for the others, which wake it to their end
  std::vector<std::unique_ptr<loop_type>> loops_;
};

}  // namespace hinge
