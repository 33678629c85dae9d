// A subject in a process of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "subject.hpp"

namespace hinge::bench {

/// Those that this thread may run on.
std::vector<unsigned> permitted_cpus();
void stand_on(unsigned cpu);

/// CPU time of a process, which may have ended but not been waited for.
std::chrono::nanoseconds cpu_used(pid_t process);

/// Serves on one CPU, as long as this lives. Throws std::runtime_error or std::system_error.
class server_process {
public:
  server_process(std::string_view name, server_work work, unsigned cpu);
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  std::uint16_t port() const noexcept { return port_; }
  std::chrono::nanoseconds cpu_used() const { return bench::cpu_used(child_); }

private:
  pid_t child_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace hinge::bench
