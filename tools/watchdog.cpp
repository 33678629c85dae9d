#include "watchdog.hpp"

#include <utility>

namespace hinge::serve {

watchdog::watchdog(const std::optional<nanoseconds>& interval, std::function<void()> ask)
    : ask_(std::move(ask)) {
  if (interval) thread_ = std::thread([this, every = *interval / 2] { run(every); });
}

watchdog::~watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void watchdog::run(nanoseconds every) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, every, [this] { return ended_; })) {
    lock.unlock();
    ask_();
    lock.lock();
  }
}

}  // namespace hinge::serve
