// Functions posted to a loop by other threads.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace hinge {

/// The one place where a loop takes a lock, and only after it was woken.
class mailbox {
public:
  using function = std::function<void()>;

  /// Any thread. True when it was empty before: then the loop has to be woken.
  bool post(function task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    return tasks_.size() == 1;
  }

  /// The loop's thread: all that was posted so far, in order.
  std::vector<function> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(tasks_, {});
  }

private:
  std::mutex mutex_;
  std::vector<function> tasks_;
};

}  // namespace hinge
