// How new connections are spread over several loops.
#pragma once

#include <hinge/export.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hinge {

/// docs/POLICIES.md says of each when it is right, what it costs, and who wakes up.
enum class accept_policy : std::uint8_t {
  /// shared_fifo where the backend can do it, otherwise shared_exclusive.
  automatic,
  /// A listener for each loop, on one port (SO_REUSEPORT; FreeBSD's SO_REUSEPORT_LB). The kernel
  /// chooses by a hash of the addresses, and who waits behind a slow loop stays there.
  sharded,
  /// The same, and the kernel chooses the loop of the CPU that has received the connection (Linux);
  /// loops are pinned.
  sharded_cpu,
  /// One listener, first come, first served: a loop asks for one connection at a time, and a busy
  /// one hasn't asked (io_uring).
  shared_fifo,
  /// One listener; for a connection the kernel wakes one of the loops that wait (epoll). On kqueue
  /// it wakes them all.
  shared_exclusive,
  /// A thread that accepts hands each connection to the loop that has the fewest.
  dispatch,
  /// A thread that accepts hands each connection to a thread of its own, made when it is needed,
  /// kept for the next one, up to a limit.
  thread_per_connection,
};
inline constexpr std::size_t accept_policies = 7;

/// "automatic", "sharded", "sharded_cpu", ...
HINGE_API std::string_view policy_name(accept_policy which) noexcept;
/// The other way round; nothing for another name.
HINGE_API std::optional<accept_policy> policy_named(std::string_view name) noexcept;

}  // namespace hinge
