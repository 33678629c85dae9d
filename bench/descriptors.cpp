#include "descriptors.hpp"

#include <sys/resource.h>

#include <fmt/format.h>

namespace hinge::bench {

std::optional<std::string> descriptor_shortage(std::uint64_t needed) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || needed <= limit.rlim_cur) return {};
  const rlim_t most = limit.rlim_max;
  if (needed <= most) {
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  }
  return fmt::format("{} descriptors are needed, and this process may have {} at most (ulimit -Hn)",
                     needed, most);
}

}  // namespace hinge::bench
