// A socket that listens already, and that another process has given to this one.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/fd.hpp>
#include <hinge/listener.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hinge {

/// What comes out of receive_listeners() and inherited_listeners(): checked, and closed on exec.
struct given_listener {
  std::string name = {};  ///< what the giver calls it; see is_listener_name()
  unique_fd socket = {};
  address local = {};            ///< where it listens
  path_identity path_file = {};  ///< of a Unix path that goes over to this process, too
  bool datagram = false;         ///< bound, and no stream: not for listener::adopt()
  bool reuse_port = false;       ///< it has SO_REUSEPORT: others may be opened beside it
  /// Whoever gave it goes on holding it (a supervisor): its closing here loses nobody, and what is
  /// done to the socket is done to his. For retire_options::held_elsewhere.
  bool held_elsewhere = false;

  /// listener::adopt(). Its path stays the giver's until listener::set_path_file().
  HINGE_API result<listener> adopt(const listener_options& options = {}) && noexcept;
};

/// Most bytes of a name: systemd's (sd_listen_fds_with_names(3)).
inline constexpr std::size_t longest_listener_name = 255;

/// Printable ASCII without ':', and not too long: what systemd lets a name be.
HINGE_API bool is_listener_name(std::string_view name) noexcept;

/// Takes out of `from`, in their order, all that listen at the first address there is that fits
/// `where`: the same one, or with a port 0 in `where` any port of that IP. Several are a group with
/// SO_REUSEPORT. `except`: whose name that is, is left; so are datagram sockets. Empty: there is
/// none.
HINGE_API std::vector<given_listener> take_listeners(std::vector<given_listener>& from,
                                                     const address& where,
                                                     std::string_view except = {}) noexcept;

}  // namespace hinge
