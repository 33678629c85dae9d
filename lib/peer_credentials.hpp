// Who is at the other end of a Unix stream: the room for SO_PEERCRED and getpeereid(3).
#pragma once

#include "sys.hpp"

namespace hinge {

/// 0: of this process's user, or of root; -EPERM: of somebody else; or -errno.
inline int check_peer(int stream) noexcept {
#ifdef HINGE_HAVE_GETPEEREID
  uid_t user = 0;
  gid_t group = 0;
  if (const int code = sys::getpeereid(stream, &user, &group); code < 0) return code;
#else
  ucred peer{};
  socklen_t length = sizeof peer;
  const int code = sys::getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  if (code < 0) return code;
  const uid_t user = peer.uid;
#endif
  return user == 0 || user == sys::geteuid() ? 0 : -EPERM;
}

}  // namespace hinge
