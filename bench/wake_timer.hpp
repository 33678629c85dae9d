// Wakes a poller at a moment of its own, more exactly than the whole milliseconds of epoll_wait(2).
#pragma once

#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#if __has_include(<sys/timerfd.h>)
#include <sys/timerfd.h>
#endif

namespace hinge::bench {

/// A descriptor that is readable from the armed moment on. Where the system has none, fd() is -1.
class wake_timer {
public:
#if __has_include(<sys/timerfd.h>)
  wake_timer() : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {}

  /// Again for the same moment: costs nothing.
  void arm(instant at) noexcept {
    if (at == armed_) return;
    armed_ = at;
    itimerspec when{};
    when.it_value.tv_sec = at / 1'000'000'000;
    when.it_value.tv_nsec = at % 1'000'000'000;
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }
#else
  void arm(instant) noexcept {}
#endif

  int fd() const noexcept { return fd_.get(); }

private:
  unique_fd fd_;
  [[maybe_unused]] instant armed_ = 0;
};

}  // namespace hinge::bench
