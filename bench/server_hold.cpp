#include "server_hold.hpp"

#include <hinge/error.hpp>
#include <hinge/time.hpp>

#include <signal.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

constexpr nanoseconds patience = std::chrono::seconds(1);
constexpr nanoseconds between_looks = std::chrono::microseconds(100);

/// proc(5), /proc/PID/task/TID/stat: the letter behind the name in brackets. True where the system
/// has no such files.
bool all_stopped(int process) {
  std::error_code missing;
  for (const auto& thread :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), missing)) {
    std::ifstream file(thread.path() / "stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(") ");
    if (name_end == std::string::npos) continue;  // it has ended
    if (line[name_end + 2] != 'T' && line[name_end + 2] != 't') return false;
  }
  return true;
}

}  // namespace

server_hold::~server_hold() {
  if (held_) kill(process_, SIGCONT);
}

void server_hold::set(bool held) {
  if (kill(process_, held ? SIGSTOP : SIGCONT) < 0)
    throw std::runtime_error(
        fmt::format("--server-pid {}: it can't be stopped: {}", process_, errno_meaning(errno)));
  held_ = held;
  const instant until = now() + patience.count();
  while (held && !all_stopped(process_)) {
    if (now() >= until)
      throw std::runtime_error(fmt::format("--server-pid {}: it doesn't stop", process_));
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace hinge::bench
