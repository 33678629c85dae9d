#include "environment.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <thread>

#include <fmt/core.h>

#include "commit.hpp"

namespace hinge::bench {

namespace {

constexpr std::array sysctls = {
    "net.core.somaxconn",
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_migrate_req",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_congestion_control",
    "kernel.io_uring_disabled",
    "kernel.sched_autogroup_enabled",
};

/// The first line of a file, blanks and tabs in it as one blank; empty when it can't be read.
std::string line_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}

/// The value of the first line "NAME : VALUE" of a file.
std::string value_in(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return {};
}

/// "retbleed: Mitigation: untrained return thunk; ...", those alone that this CPU needs.
std::string mitigations() {
  std::vector<std::string> all;
  std::error_code missing;
  const std::filesystem::path folder = "/sys/devices/system/cpu/vulnerabilities";
  for (const auto& file : std::filesystem::directory_iterator(folder, missing)) {
    const std::string said = line_of(file.path());
    if (said.empty() || said == "Not affected") continue;
    all.push_back(file.path().filename().string() + ": " + said);
  }
  if (missing) return {};
  std::sort(all.begin(), all.end());
  std::string joined;
  for (const std::string& one : all) joined += (joined.empty() ? "" : ", ") + one;
  return joined.empty() ? "none needed" : joined;
}

std::string limit(int which) {
  rlimit found{};
  if (getrlimit(which, &found) != 0) return {};
  const auto text = [](rlim_t value) {
    return value == RLIM_INFINITY ? std::string("unlimited") : fmt::format("{}", value);
  };
  return text(found.rlim_cur) + " of " + text(found.rlim_max);
}

std::string compiler() {
#ifdef __clang__
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

environment read_environment() {
  environment all;
  const auto add = [&all](std::string name, std::string value) {
    if (!value.empty()) all.emplace_back(std::move(name), std::move(value));
  };
  utsname system{};
  if (uname(&system) == 0) {
    add("kernel", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  }
  add("cpu", value_in("/proc/cpuinfo", "model name"));
  add("cpus", fmt::format("{}", std::thread::hardware_concurrency()));
  add("cpus allowed", value_in("/proc/self/status", "Cpus_allowed_list"));
  add("governor", line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  add("load", line_of("/proc/loadavg"));
  add("mitigations", mitigations());
  for (const std::string name : sysctls) {
    std::string path = "/proc/sys/" + name;
    std::replace(path.begin(), path.end(), '.', '/');
    add(name, line_of(path));
  }
  add("limit of descriptors", limit(RLIMIT_NOFILE));
  add("limit of locked memory", limit(RLIMIT_MEMLOCK));
  add("compiler", compiler());
  add("build", HINGE_BUILD_FLAGS);
  add("versions", HINGE_VERSIONS);
  add("commit", HINGE_COMMIT);
  return all;
}

}  // namespace hinge::bench
