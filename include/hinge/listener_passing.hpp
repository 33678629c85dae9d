// Listening sockets handed over to another process, by SCM_RIGHTS over a Unix stream (unix(7)).
//
// The stream is one of socketpair(2), or a connection of a Unix listener. Both ends are built from
// the same machine's hinge; who speaks another version is told so. What waits in the queue of a
// socket that is passed on is not touched by it: both processes have the same socket.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/given_listener.hpp>
#include <hinge/listener.hpp>
#include <hinge/time.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace hinge {

/// Most descriptors of one message (SCM_MAX_FD of Linux); more go in several.
inline constexpr std::size_t passed_at_once = 253;
/// Most of one hand-over.
inline constexpr std::size_t most_passed = 16384;

/// A socket on its way out. It stays open here, and who sends it keeps it.
struct outgoing_listener {
  int fd = -1;
  std::string_view name = {};
  path_identity path_file = {};  ///< told to the receiver, who may then own the path
  bool held_elsewhere = false;   ///< told to the receiver: a third one has the socket, too
};

/// Sends all of them, or none is taken by the receiver. Waits up to `patience` in all for room, and
/// no longer than until somebody shuts the stream down (shutdown(2)). Any thread; one at a time on
/// a stream. Errors name what is wrong: EPROTOTYPE, no Unix stream; EPERM, the peer is neither this
/// user nor root; EINVAL, a name or a socket that doesn't listen; E2BIG, over most_passed;
/// ETIMEDOUT; EPIPE, the peer has gone; ETOOMANYREFS, more on their way than the limit of
/// descriptors (without CAP_SYS_RESOURCE).
HINGE_API result<void> send_listeners(int stream, std::span<const outgoing_listener> all,
                                      nanoseconds patience) noexcept;

/// Receives what one send_listeners() has sent, in its order; perhaps none. Each must be a
/// listening stream socket, at the address and with the SO_REUSEPORT and IPV6_V6ONLY that were
/// announced. Waits up to `patience` in all. On failure nothing that has come stays open. Errors
/// besides those above: EPROTO, it isn't said in this protocol; ECONNRESET, the stream ended before
/// the last; EMFILE, some did not fit below this process's limit of descriptors.
HINGE_API result<std::vector<given_listener>> receive_listeners(int stream,
                                                                nanoseconds patience) noexcept;

}  // namespace hinge
