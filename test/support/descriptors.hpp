// How many descriptors this process has open: what leaks shows as a difference.
#pragma once

#include <fcntl.h>

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace hinge::test {

inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator listing("/proc/self/fd");
  // The listing's own descriptor is one of them.
  return static_cast<std::size_t>(std::distance(begin(listing), end(listing))) - 1;
}

inline bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace hinge::test
