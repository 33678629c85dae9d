#include "mid_load.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>

extern char** environ;

namespace hinge::bench {

namespace {

constexpr int not_started = 127;  // as the shell says of what it can't find
constexpr nanoseconds between_looks = std::chrono::milliseconds(5);

/// The process; -1: it could not be had.
pid_t start(const std::string& command) {
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::string text = command;
  char* const words[] = {shell.data(), flag.data(), text.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t process = -1;
  if (posix_spawn(&process, "/bin/sh", &actions, nullptr, words, environ) != 0) process = -1;
  posix_spawn_file_actions_destroy(&actions);
  return process;
}

}  // namespace

mid_load_command::mid_load_command(std::string command, unsigned times, nanoseconds warmup,
                                   nanoseconds duration)
    : command_(std::move(command)), begin_(now() + warmup.count()) {
  thread_ = std::thread([this, times, duration] { work(times, duration); });
}

const std::vector<command_run>& mid_load_command::finish(nanoseconds patience) {
  {
    const std::lock_guard lock(mutex_);
    if (!finished_) finished_ = now() + patience.count();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  return runs_;
}

void mid_load_command::work(unsigned times, nanoseconds duration) {
  for (unsigned i = 1; i <= times; ++i) {
    if (over_before(begin_ + duration.count() / (times + 1) * i)) return;
    command_run one;
    one.at = nanoseconds(now() - begin_);
    const pid_t process = start(command_);
    one.exit_code = process < 0 ? not_started : wait_for(process);
    one.took = nanoseconds(now() - begin_) - one.at;
    runs_.push_back(one);
  }
}

bool mid_load_command::over_before(instant at) {
  std::unique_lock lock(mutex_);
  while (!finished_ && now() < at) changed_.wait_for(lock, nanoseconds(at - now()));
  return finished_.has_value();
}

std::optional<int> mid_load_command::wait_for(int process) {
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(process, &status, WNOHANG);
    if (ended < 0) return not_started;
    if (ended > 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    std::unique_lock lock(mutex_);
    if (finished_ && now() >= *finished_) return {};
    changed_.wait_for(lock, between_looks);
  }
}

}  // namespace hinge::bench
