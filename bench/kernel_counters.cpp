#include "kernel_counters.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace hinge::bench {

namespace {

struct tcp_name {
  std::string_view name;
  kernel_counter counter;
};
constexpr std::array tcp_names = {
    tcp_name{"ListenOverflows", kernel_counter::listen_overflows},
    tcp_name{"ListenDrops", kernel_counter::listen_drops},
    tcp_name{"TCPReqQFullDrop", kernel_counter::request_queue_drops},
    tcp_name{"TCPReqQFullDoCookies", kernel_counter::request_queue_cookies},
    tcp_name{"SyncookiesSent", kernel_counter::syn_cookies_sent},
    tcp_name{"RetransSegs", kernel_counter::segments_sent_again},
    tcp_name{"TCPSynRetrans", kernel_counter::syns_sent_again},
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// A line of names, then one of values, of each protocol: "Tcp: RetransSegs", "Tcp: 12".
void read_tcp(const char* path, kernel_counts& into) {
  std::ifstream file(path);
  std::string names_line;
  std::string values_line;
  while (std::getline(file, names_line) && std::getline(file, values_line)) {
    const std::vector<std::string> names = words_of(names_line);
    const std::vector<std::string> values = words_of(values_line);
    if (names.empty() || (names[0] != "Tcp:" && names[0] != "TcpExt:")) continue;
    for (std::size_t i = 1; i < std::min(names.size(), values.size()); ++i) {
      for (const tcp_name& known : tcp_names) {
        if (names[i] == known.name) into[known.counter] = std::stoll(values[i]);
      }
    }
  }
}

/// cgroups(7): "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1.
std::int64_t throttled_periods() {
  std::ifstream groups("/proc/self/cgroup");
  std::int64_t sum = 0;
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "cpu" && controllers != "cpu,cpuacct") continue;
    std::ifstream statistics("/sys/fs/cgroup/" + controllers + line.substr(second + 1) +
                             "/cpu.stat");
    std::string name;
    for (std::int64_t value = 0; statistics >> name >> value;) {
      if (name == "nr_throttled") sum += value;
    }
  }
  return sum;
}

/// proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
std::int64_t stolen_ticks() {
  std::ifstream file("/proc/stat");
  std::string name;
  std::int64_t value = 0;
  file >> name;
  for (int column = 0; column < 8; ++column) file >> value;
  return file ? value : 0;
}

}  // namespace

std::string_view name_of(kernel_counter which) noexcept {
  constexpr std::array<std::string_view, kernel_counters> names = {
      "ListenOverflows",      "ListenDrops",    "TCPReqQFullDrop",
      "TCPReqQFullDoCookies", "SyncookiesSent", "RetransSegs",
      "TCPSynRetrans",        "nr_throttled",   "steal_ticks"};
  return names[static_cast<std::size_t>(which)];
}

kernel_counts read_kernel_counts() {
  kernel_counts counted;
  read_tcp("/proc/self/net/snmp", counted);
  read_tcp("/proc/self/net/netstat", counted);
  counted[kernel_counter::throttled] = throttled_periods();
  counted[kernel_counter::stolen_ticks] = stolen_ticks();
  return counted;
}

}  // namespace hinge::bench
