// One connection after the other, each call waiting for its turn: what the system calls cost alone,
// and nobody else is served meanwhile.
#pragma once
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "floor_work.hpp"

struct floor_blocking {
  floor_work work;  // ac or crr: an echo would keep all others waiting
  int listener;
  unsigned long closed = 0;
  char buffer[64];

  floor_blocking(floor_work what, int from) : work(what), listener(from) {
    fcntl(from, F_SETFL, fcntl(from, F_GETFL) & ~O_NONBLOCK);
  }
  bool turn(int timeout_ms) {          // false: broken, errno says why
    if (timeout_ms == 0) return true;  // nothing is ever left to be done
    sockaddr_storage peer;
    socklen_t length = sizeof peer;
    const int fd = accept4(listener, (sockaddr*)&peer, &length, SOCK_CLOEXEC);
    if (fd < 0) return errno == ECONNABORTED || errno == EINTR;
    const ssize_t got = work == floor_work::ac ? 0 : recv(fd, buffer, sizeof buffer, 0);
    if (got > 0) send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL | MSG_MORE);
    return close(fd), ++closed, true;
  }
};
