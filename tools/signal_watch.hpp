// Signals as function calls, in a thread of their own: nothing runs in a signal handler.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include <pthread.h>
#include <signal.h>

namespace hinge::serve {

/// Blocks SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 for the calling thread and those that it starts
/// afterwards: make it before all other threads. They are delivered from watch() on, also those
/// that came before.
class signal_watch {
public:
  signal_watch() {
    sigemptyset(&signals_);
    for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) sigaddset(&signals_, number);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  ~signal_watch() { end(); }

  /// What was blocked before: for programs that are started.
  const sigset_t& mask_before() const noexcept { return before_; }

  /// From now on `tell` hears of each signal, in the thread of this object, until end().
  void watch(std::function<void(int)> tell) {
    thread_ = std::thread([this, tell = std::move(tell)] {
      for (int number = 0; sigwait(&signals_, &number) == 0 && !ended_;) tell(number);
    });
  }

  /// Nothing is told any more. The signals stay blocked.
  void end() {
    if (!thread_.joinable()) return;
    ended_ = true;
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

private:
  sigset_t signals_;
  sigset_t before_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace hinge::serve
