// The library's only sleep, where there is nothing to wait on: memory that comes back, a child.
#pragma once

#include <hinge/time.hpp>

#include <sys/syscall.h>

#include <cstdint>

#include "sys.hpp"

namespace hinge {

/// Linux; less than a second. By futex(2), which no filter forbids to a program that may have
/// threads; a server need not be allowed poll(2) or nanosleep(2).
inline void nap(nanoseconds most) noexcept {
  constexpr long futex_wait_private = 128;
  const std::uint32_t word = 0;
  const long until[] = {0, static_cast<long>(most.count())};  // the kernel's timespec of old
  sys::syscall(SYS_futex, reinterpret_cast<long>(&word), futex_wait_private, word,
               reinterpret_cast<long>(until), 0, 0);
}

}  // namespace hinge
