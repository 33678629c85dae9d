// Who else accepts on the listeners of a poller.
#pragma once

#include <cstdint>

namespace hinge {

/// Others are pollers of this process, or of another one, that accept on the same sockets.
enum class accept_sharing : std::uint8_t {
  alone,  ///< nobody
  /// For a connection the kernel wakes one of them: EPOLLEXCLUSIVE (epoll_ctl(2), Linux 4.5). It
  /// asks in the order of their registration and takes the first that waits: hence who has accepted
  /// some registers anew, behind the others. kqueue wakes all, and all but one find nothing.
  exclusive,
  /// A connection goes to whoever has asked first, and each asks for one at a time (io_uring). Who
  /// is busy hasn't asked.
  first_come,
};

}  // namespace hinge
