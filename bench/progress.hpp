// How a load fares, told while it runs.
#pragma once

#include <hinge/time.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "load.hpp"

namespace hinge::bench {

/// Whether somebody sees a line on standard error that changes: it is a terminal, and TERM is
/// neither missing nor "dumb".
bool shows_progress() noexcept;

/// A line on standard error, twice a second: the rate, the errors, the time that is left. Erased at
/// the end. Of no colour.
class progress_line {
public:
  /// Refers to `counts`. `whole`: how long it takes from now on.
  progress_line(const load_progress& counts, nanoseconds whole);
  ~progress_line();
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

private:
  void work();

  const load_progress& counts_;
  const instant end_;
  bool over_ = false;  // under mutex_
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace hinge::bench
