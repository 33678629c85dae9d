// The file of a Unix listener.
#pragma once

#include <hinge/listener.hpp>

namespace hinge {

/// bind(2) to a path, stale paths removed and permissions set as the options say. On failure no
/// path is left behind.
result<path_identity> bind_path(int fd, const address& at,
                                const listener_options& options) noexcept;

/// Unlinks the path if it still is that file: 0, also when it isn't, or -errno.
int unlink_path(const address& at, path_identity made) noexcept;

}  // namespace hinge
