// What all have in common who make connections here: a poller that only tells, and "not yet".
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/socket.hpp>

#include <cerrno>

namespace hinge::bench {

/// The first readiness backend of this build. Throws std::runtime_error when there is none.
any_poller readiness_poller();

/// BSD and macOS say ENOTCONN of a connection that is still being made.
inline bool not_yet(int code) noexcept { return sockets::would_block(code) || code == -ENOTCONN; }

}  // namespace hinge::bench
