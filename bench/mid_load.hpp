// A command that is run while a load is under way: a restart of the server, most of all.
#pragma once

#include <hinge/time.hpp>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hinge::bench {

/// One run of the command.
struct command_run {
  nanoseconds at{0};             ///< since the measured time began
  nanoseconds took{0};           ///< until it ended, or until nobody waited for it any more
  std::optional<int> exit_code;  ///< 128 + N: killed by signal N; nothing: it goes on
};

/// Runs a command by the shell, its standard output joined to standard error, in a thread of its
/// own. Each run waits for the end of the one before.
class mid_load_command {
public:
  /// `times` runs, spread evenly over `duration`, which begins after `warmup` from now on.
  mid_load_command(std::string command, unsigned times, nanoseconds warmup, nanoseconds duration);
  ~mid_load_command() { finish(nanoseconds(0)); }
  mid_load_command(const mid_load_command&) = delete;
  mid_load_command& operator=(const mid_load_command&) = delete;

  /// Begins no more; one that runs has so long to end, and goes on by itself after it. What has
  /// been run.
  const std::vector<command_run>& finish(nanoseconds patience);

private:
  void work(unsigned times, nanoseconds duration);
  bool over_before(instant at);
  std::optional<int> wait_for(int process);

  const std::string command_;
  const instant begin_;
  std::vector<command_run> runs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<instant> finished_;  // no longer waited than that
  std::thread thread_;
};

}  // namespace hinge::bench
