// The loop that many servers have: whenever the listener is ready, accept until there is nobody
// left, which takes one call more. All else is floor_epoll's.
#pragma once
#include "floor_epoll.hpp"

struct floor_drain : floor_epoll {
  using floor_epoll::floor_epoll;
  bool turn(int timeout_ms) {  // false: broken, errno says why
    epoll_event ready[256];
    const int count = epoll_wait(epoll, ready, 256, timeout_ms);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd != listener) serve(fd, ready[i].events);
      if (fd == listener && !accept_all()) return false;
    }
    return count >= 0 || errno == EINTR;
  }
  bool accept_all() {
    while (accept_one()) continue;
    return errno == ECONNABORTED || errno == EAGAIN;
  }
};
