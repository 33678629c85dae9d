#include "server_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "plain_client.hpp"

namespace hinge::bench {

std::vector<unsigned> permitted_cpus() {
  cpu_set_t permitted;
  checked(sched_getaffinity(0, sizeof permitted, &permitted), "sched_getaffinity");
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &permitted)) cpus.push_back(cpu);
  }
  return cpus;
}

void stand_on(const std::vector<unsigned>& cpus) {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &all);
  checked(sched_setaffinity(0, sizeof all, &all), "sched_setaffinity");
}

void stand_on(unsigned cpu) { stand_on(std::vector<unsigned>{cpu}); }

std::chrono::nanoseconds cpu_used(pid_t process) {
  clockid_t clock;
  const int failed = clock_getcpuclockid(process, &clock);
  if (failed != 0) throw std::system_error(failed, std::generic_category(), "clock_getcpuclockid");
  timespec used;
  checked(clock_gettime(clock, &used), "clock_gettime");
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::vector<std::string> command_of(const contender& who, server_work work,
                                    std::vector<std::string> more) {
  std::vector<std::string> words = who.program;
  words.emplace_back(name_of(work));
  words.emplace_back("0");
  for (std::string& one : more) words.push_back(std::move(one));
  return words;
}

started_program start_program(const std::vector<std::string>& words, std::optional<unsigned> cpu) {
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  pointers.push_back(nullptr);
  int tell[2];
  checked(pipe2(tell, O_CLOEXEC), "pipe2");
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Ctrl-C is for the program that started it, and which ends it.
    signal(SIGINT, SIG_IGN);
    dup2(tell[1], STDOUT_FILENO);
    if (cpu) stand_on(*cpu);
    execv(pointers[0], const_cast<char* const*>(pointers.data()));
    _exit(127);
  }
  close(tell[1]);
  return {child, tell[0]};
}

server_words words_of(int output) {
  constexpr std::string_view listening = "listening on 127.0.0.1:";
  server_words said;
  std::string line;
  for (;;) {
    char one;
    const ssize_t got = read(output, &one, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) break;
    if (one != '\n') {
      line += one;
    } else if (line.starts_with(listening)) {
      said.port = static_cast<std::uint16_t>(std::atoi(line.c_str() + listening.size()));
      break;
    } else {
      said.about = std::exchange(line, {});
    }
  }
  return said;
}

server_process::server_process(const contender& who, server_work work, std::optional<unsigned> cpu)
    : process_(who.process), started_(!who.program.empty()), port_(who.port) {
  if (!started_) return;
  const started_program child = start_program(command_of(who, work), cpu);
  process_ = child.process;
  server_words said = words_of(child.output);
  port_ = said.port;
  about_ = std::move(said.about);
  close(child.output);
  if (port_ != 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  throw std::runtime_error(fmt::format("the server {} did not start", who.name));
}

server_process::~server_process() {
  if (!started_) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

}  // namespace hinge::bench
