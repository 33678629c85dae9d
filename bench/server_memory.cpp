#include "server_memory.hpp"

#include <fstream>
#include <string>

#include <fmt/format.h>

namespace hinge::bench {

// proc(5): smaps_rollup walks the pages; statm's counters are up to some hundred pages wrong.
std::optional<std::uint64_t> memory_of_process(int process) {
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", process));
  std::string word;
  while (file >> word) {
    std::uint64_t kib = 0;
    if (word == "Anonymous:" && file >> kib) return kib * 1024;
  }
  return {};
}

}  // namespace hinge::bench
