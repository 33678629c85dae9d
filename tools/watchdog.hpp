// Who tells the service manager, again and again, that the loops turn.
#pragma once

#include <hinge/time.hpp>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace hinge::serve {

/// A thread that calls `ask` twice in each interval; none without an interval. What `ask` asks
/// tells the manager when it turns: where it hangs, nothing is told, or `ask` hangs with it.
class watchdog {
public:
  watchdog(const std::optional<nanoseconds>& interval, std::function<void()> ask);
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog();

private:
  void run(nanoseconds every);

  std::function<void()> ask_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace hinge::serve
