// What a system takes as the name of a Unix socket.
#pragma once

#include <hinge/address.hpp>

#include <sys/socket.h>
#include <sys/un.h>

namespace hinge {

/// Bytes, without the terminating 0: 107 on Linux, 103 on BSD and macOS.
inline constexpr std::size_t longest_unix_name = sizeof(sockaddr_un::sun_path) - 1;
static_assert(longest_unix_name <= address::unix_capacity);

/// Names that stand in no file system begin with a 0 byte: Linux alone (unix(7)).
#ifdef HINGE_HAVE_ABSTRACT_NAMES
inline constexpr bool has_abstract_names = true;
#else
inline constexpr bool has_abstract_names = false;
#endif

}  // namespace hinge
