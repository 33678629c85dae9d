// A contender in a process of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contender.hpp"

namespace hinge::bench {

/// Those that this thread may run on.
std::vector<unsigned> permitted_cpus();
/// This thread, and those that it makes from then on.
void stand_on(const std::vector<unsigned>& cpus);
void stand_on(unsigned cpu);

/// CPU time of a process, which may have ended but not been waited for.
std::chrono::nanoseconds cpu_used(pid_t process);

/// Serves as long as this lives. One that runs already is left as it is. Throws std::runtime_error
/// or std::system_error.
class server_process {
public:
  /// Started on one CPU, or on those that this thread may use.
  server_process(const contender& who, server_work work, std::optional<unsigned> cpu = {});
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  std::uint16_t port() const noexcept { return port_; }
  pid_t process() const noexcept { return process_; }
  const std::string& about() const noexcept { return about_; }  ///< as server_words::about
  std::chrono::nanoseconds cpu_used() const { return bench::cpu_used(process_); }

private:
  pid_t process_ = -1;
  bool started_ = false;
  std::uint16_t port_ = 0;
  std::string about_;
};

/// argv of it: the program's words, the work, port 0 and more.
std::vector<std::string> command_of(const contender& who, server_work work,
                                    std::vector<std::string> more = {});

/// A program that runs, and a pipe of its standard output.
struct started_program {
  pid_t process = -1;
  int output = -1;
};
/// It is killed when this thread ends. Throws std::system_error.
started_program start_program(const std::vector<std::string>& words, std::optional<unsigned> cpu);
/// What it has said up to "listening on 127.0.0.1:PORT".
struct server_words {
  std::uint16_t port = 0;  ///< 0: it has ended without
  std::string about;       ///< what it serves by, the line before; or empty
};
server_words words_of(int output);

}  // namespace hinge::bench
