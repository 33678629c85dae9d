// From listener_options to setsockopt(2).
#pragma once

#include <hinge/listener.hpp>

namespace hinge {

enum class listener_source : bool { opened, adopted };

/// Refuses what can't be honoured, before anything is done.
result<void> check_options(const listener_options& options, const address& at,
                           listener_source source) noexcept;

/// Sets the socket options; check_options() has let them pass.
result<void> apply_options(int fd, const listener_options& options, const address& at,
                           listener_source source) noexcept;

/// Whether a socket has what listener_options::reuse_port asks for: 1, 0, or -errno.
int shares_port(int fd) noexcept;
/// The same of listener_options::v6_only, of an IPv6 socket.
int takes_ipv6_alone(int fd) noexcept;

/// The number that a file below /proc/sys holds; -errno when it can't be read.
int read_setting(const char* path) noexcept;

}  // namespace hinge
