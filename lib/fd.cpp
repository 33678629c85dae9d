#include <hinge/fd.hpp>

#include "sys.hpp"

namespace hinge {

void unique_fd::reset(int fd) noexcept {
  const int closing = std::exchange(fd_, fd);
  if (closing >= 0) sys::close(closing);
}

}  // namespace hinge
