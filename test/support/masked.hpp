// Whether the library was built as for a system without Linux's own calls: see mask/system.hpp.
#pragma once

#include <cstddef>

#include <catch2/catch_test_macros.hpp>

namespace hinge::test {

#ifdef HINGE_MASKED
inline constexpr bool masked = true;
#else
inline constexpr bool masked = false;
#endif

/// Whether the system tells of a TCP listener's queue: the masked build without epoll has FreeBSD's
/// options for it.
#ifdef HINGE_MASK_EPOLL
inline constexpr bool tells_queue = true;
#else
inline constexpr bool tells_queue = !masked;
#endif

/// Bytes of the longest name of a Unix socket.
inline constexpr std::size_t longest_unix_name = masked ? 103 : 107;

/// Where a test case of what Linux alone has ends in such a build.
inline void need_linux() {
  if (masked) SKIP("what Linux alone has is masked in this build");
}

}  // namespace hinge::test
