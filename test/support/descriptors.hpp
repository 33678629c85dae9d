// The descriptors of this process: how many are open, since what leaks shows as a difference, and
// how to have no more.
#pragma once

#include <hinge/fd.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace hinge::test {

inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator listing("/proc/self/fd");
  // The listing's own descriptor is one of them.
  return static_cast<std::size_t>(std::distance(begin(listing), end(listing))) - 1;
}

/// No new descriptor for this process, but for so many and those that it closes.
class no_descriptors {
public:
  explicit no_descriptors(rlim_t but_for = 0) {
    const hinge::unique_fd lowest_free(::dup(0));
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit less{static_cast<rlim_t>(lowest_free.get()) + but_for, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &less);
  }
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_;
};

/// Lets this process have as many as it may, from here on; how many.
inline std::size_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

inline bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace hinge::test
