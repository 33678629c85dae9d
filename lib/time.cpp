#include <hinge/time.hpp>

#include "sys.hpp"

namespace hinge {

instant now() noexcept {
  timespec read{};
  sys::clock_gettime(CLOCK_MONOTONIC, &read);
  return instant{read.tv_sec} * 1'000'000'000 + read.tv_nsec;
}

}  // namespace hinge
