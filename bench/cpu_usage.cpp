#include "cpu_usage.hpp"

#include <time.h>
#if __has_include(<sys/syscall.h>)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

/// proc(5), /proc/PID/schedstat; nothing when it isn't there.
std::optional<cpu_usage> read_usage(const std::string& path) {
  std::ifstream file(path);
  std::int64_t ran = 0;
  std::int64_t waited = 0;
  if (!(file >> ran >> waited)) return {};
  return cpu_usage{nanoseconds(ran), nanoseconds(waited)};
}

}  // namespace

cpu_usage usage_of_this_thread() {
  cpu_usage used = read_usage("/proc/thread-self/schedstat").value_or(cpu_usage{});
  // Exact, where schedstat is as of the last tick.
  timespec ran;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
  used.ran = std::chrono::seconds(ran.tv_sec) + nanoseconds(ran.tv_nsec);
  return used;
}

std::optional<cpu_usage> usage_of_thread(int thread) {
  return read_usage(fmt::format("/proc/self/task/{}/schedstat", thread));
}

std::optional<cpu_usage> usage_of_process(int process) {
  std::error_code missing;
  std::optional<cpu_usage> sum;
  for (const auto& thread :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), missing)) {
    const std::optional<cpu_usage> one = read_usage(thread.path() / "schedstat");
    if (!one) continue;
    if (!sum) sum.emplace();
    sum->ran += one->ran;
    sum->waited += one->waited;
  }
  return sum;
}

int this_thread() noexcept {
#ifdef SYS_gettid  // Linux
  return static_cast<int>(syscall(SYS_gettid));
#else
  return -1;
#endif
}

}  // namespace hinge::bench
