// The seeded models of `poller` over sim::network, one for each family of backends. They do all
// that the seam allows a backend to do, at random, and note as a violation what a loop must not do.
#pragma once

#include <hinge/poller.hpp>

#include "simulator/accept_streams.hpp"
#include "simulator/engine.hpp"
#include "simulator/network.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace hinge::sim {

/// What both families share: the order of a turn, the clock, waking. Belongs to the network that
/// is current when it is opened, one poller a network.
class poller_model : private backend {
public:
  poller_model(const poller_model&) = delete;
  poller_model& operator=(const poller_model&) = delete;

  result<void> open(const poller_options& options) noexcept;
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) noexcept;
  void wake() const noexcept;
  poller_limits limits() const noexcept;

protected:
  explicit poller_model(bool completes) : completes_(completes) {}
  ~poller_model();

private:
  struct report;

  bool holds(int fd) const override;
  void closed(int fd) override;
  bool receives_itself() const override { return completes_; }
  bool sends(int fd) const override;

  void apply(const change& wanted, report& out);
  void tell(report& out, std::uint32_t accept_room);
  void tell_accepted(report& out, std::uint32_t accept_room);
  void tell_of_connections(report& out, std::size_t room);
  bool wait(deadline until);

  bool completes_;
  network* net_ = nullptr;
  std::unique_ptr<engine> engine_;
  accept_streams accepts_;
  std::vector<inet_name> peers_;
  mutable std::mutex mutex_;
  mutable std::condition_variable waking_;
  mutable bool woken_ = false;
};

class readiness_poller final : public poller_model {
public:
  readiness_poller() : poller_model(false) {}
  static constexpr std::string_view name() noexcept { return "simulated readiness"; }
  static constexpr bool completes() noexcept { return false; }
};

class completion_poller final : public poller_model {
public:
  completion_poller() : poller_model(true) {}
  static constexpr std::string_view name() noexcept { return "simulated completion"; }
  static constexpr bool completes() noexcept { return true; }
};

static_assert(poller<readiness_poller>);
static_assert(poller<completion_poller>);

}  // namespace hinge::sim
