#include "server_process.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <limits>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

#include "plain_client.hpp"

namespace hinge::bench {

namespace {

[[noreturn]] void serve(std::string_view name, server_work work, unsigned cpu, int tell) {
  try {
    checked(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    stand_on(cpu);
    const auto server = make_subject(name, work);
    const std::uint16_t port = server->port();
    checked(write(tell, &port, sizeof port), "write");
    server->serve_until_closed(std::numeric_limits<std::uint64_t>::max());
    throw std::runtime_error("the server broke");
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "{}: {}\n", name, wrong.what());
    _exit(1);
  }
}

}  // namespace

std::vector<unsigned> permitted_cpus() {
  cpu_set_t permitted;
  checked(sched_getaffinity(0, sizeof permitted, &permitted), "sched_getaffinity");
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &permitted)) cpus.push_back(cpu);
  }
  return cpus;
}

void stand_on(unsigned cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  checked(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

std::chrono::nanoseconds cpu_used(pid_t process) {
  clockid_t clock;
  const int failed = clock_getcpuclockid(process, &clock);
  if (failed != 0) throw std::system_error(failed, std::generic_category(), "clock_getcpuclockid");
  timespec used;
  checked(clock_gettime(clock, &used), "clock_gettime");
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

server_process::server_process(std::string_view name, server_work work, unsigned cpu) {
  int tell[2];
  checked(pipe(tell), "pipe");
  child_ = checked(fork(), "fork");
  if (child_ == 0) serve(name, work, cpu, tell[1]);
  close(tell[1]);
  const bool told = read(tell[0], &port_, sizeof port_) == sizeof port_;
  close(tell[0]);
  if (told) return;
  waitpid(child_, nullptr, 0);
  throw std::runtime_error(fmt::format("the server {} did not start", name));
}

server_process::~server_process() {
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

}  // namespace hinge::bench
