// Listening sockets that were open when the program began: of systemd's socket activation
// (sd_listen_fds(3)), or of whoever has started it with HINGE_LISTENERS set.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/given_listener.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hinge {

/// "3=web;4=admin": descriptors by number, and what they are called, whose FD_CLOEXEC is cleared.
/// "alone;3=web": nobody else has them, as when a server starts another program in its own place
/// (execve(2)).
inline constexpr const char* listeners_variable = "HINGE_LISTENERS";

/// What a program's environment says, each absent where the variable isn't set.
struct listener_variables {
  std::optional<std::string> listen_pid = {};      ///< LISTEN_PID
  std::optional<std::string> listen_fds = {};      ///< LISTEN_FDS
  std::optional<std::string> listen_fdnames = {};  ///< LISTEN_FDNAMES
  std::optional<std::string> listeners = {};       ///< listeners_variable

  /// Reads them, and takes them out of the environment, so that no child believes that they are
  /// meant for it. Changes the environment, which is not thread-safe (unsetenv(3)): before the
  /// program has a second thread.
  HINGE_API static listener_variables take() noexcept;
};

/// The sockets that the variables name: systemd's first, then those of listeners_variable; perhaps
/// none. LISTEN_PID of another process: systemd's are meant for that one, and left alone. Each
/// number must be an open descriptor that is a socket, IPv4, IPv6 or Unix, and listens, or is a
/// bound datagram socket (given_listener::datagram). Whoever gave them is believed to hold them
/// still (given_listener::held_elsewhere), unless listeners_variable says "alone". Nobody's name is
/// "unknown", as systemd has it.
///
/// They are this process's from now on, so it is to be asked once: a second answer would own the
/// same numbers. All are closed on exec as soon as they are known to be open; on failure all of
/// them are closed, also those that were right. Errors name the variable, the number and what is
/// wrong: EINVAL, no number, out of range, a name that can't be one, as many names as there are
/// not descriptors, a number twice, a socket that doesn't listen (Accept=yes gives such ones);
/// EBADF, ENOTSOCK, ESOCKTNOSUPPORT, EAFNOSUPPORT.
HINGE_API result<std::vector<given_listener>> inherited_listeners(
    const listener_variables& said = listener_variables::take()) noexcept;

/// A descriptor for a program that is started next, and its name there.
struct bequest {
  int fd = -1;
  std::string_view name = {};
};

/// Clears FD_CLOEXEC of each, and returns the value for listeners_variable. Who starts a program by
/// fork(2) calls it in the child, so that nobody else inherits them. `alone`: no other process has
/// them after execve(2), so that whoever inherits them may end them (retirement.hpp); where one
/// has, that would end them for him, too. Errors: EINVAL, a name with ';' or that can't be one;
/// EBADF. Those before it are then no longer closed on exec.
HINGE_API result<std::string> bequeath_listeners(std::span<const bequest> all,
                                                 bool alone = false) noexcept;

}  // namespace hinge
