// What hinge-serve does about signals: statistics, a successor, its end.
#pragma once

#include <hinge/service_manager.hpp>

#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <signal.h>

#include "predecessor.hpp"
#include "print_error.hpp"
#include "serve_options.hpp"
#include "signal_watch.hpp"
#include "successor.hpp"

namespace hinge::serve {

/// Once each, whether it is a loop or a server.
struct reactions {
  std::function<void(const std::optional<upgrade_report>&)> print_statistics;
  /// Accepts no more, and ends what is open in time; `held`: a successor has the sockets.
  std::function<void(bool held)> retire;
  std::function<void()> stop;
};

/// From its making on signals are heard, a successor may be started, and the manager knows that
/// this is alive.
class supervision {
public:
  supervision(signal_watch& signals, const serve_options& options, const beginnings& from,
              std::vector<outgoing_listener> listeners, reactions how)
      : signals_(signals), manager_(from.manager()), how_(std::move(how)) {
    if (options.upgrade.wanted)
      successor_.emplace(options.upgrade, std::move(listeners), manager_, from.manager_variables(),
                         signals.mask_before());
    signals.watch([this](int number) { hear(number); });
  }
  ~supervision() { signals_.end(); }

  /// By a successor: the manager hears of that one from here on.
  bool is_followed() const { return successor_ && successor_->report().successor != -1; }
  std::optional<upgrade_report> upgrades() const {
    return successor_ ? std::optional(successor_->report()) : std::nullopt;
  }

private:
  void hear(int number) {
    if (number == SIGUSR1) {
      how_.print_statistics(upgrades());
    } else if (number == SIGUSR2) {
      if (!successor_)
        return hinge::print_error("hinge-serve: SIGUSR2: started without --upgrade\n");
      successor_->begin([this] { followed(); });
    } else {
      end();
    }
  }
  void end() {
    const std::lock_guard lock(ending_);
    if (std::exchange(stopping_, true)) return how_.stop();
    const bool held = successor_ && !successor_->cancel();
    if (!held) (void)manager_.stopping();
    how_.retire(held);
  }
  void followed() {
    const std::lock_guard lock(ending_);
    if (!std::exchange(stopping_, true)) how_.retire(true);
  }

  signal_watch& signals_;
  const service_manager& manager_;
  reactions how_;
  std::mutex ending_;
  bool stopping_ = false;
  std::optional<successor> successor_;
};

}  // namespace hinge::serve
