// The floor that hinge is measured against: a careful engineer's loop on the bare system calls with
// hinge's registration and accept policy (epoll.hpp; here "at once" is timed around the wait).
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "floor_work.hpp"

struct floor_epoll {
  floor_work work;
  int listener;  // TCP, non-blocking
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  unsigned long closed = 0;
  unsigned streak = 0, interval = 1;  // reports at once, in a row; how many before counting
  bool accepting = false;             // in the last turn
  char buffer[65'536];
  floor_epoll(floor_work what, int from) : work(what), listener(from) { watch(from, EPOLLIN); }
  void watch(int fd, unsigned events) {
    epoll_event wanted{events, {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted);
  }
  static long nanoseconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }
  bool turn(int timeout_ms) {  // false: broken, errno says why
    epoll_event ready[256];
    const long before = accepting ? nanoseconds() : 0;
    const int count = epoll_wait(epoll, ready, 256, timeout_ms);
    const bool at_once = accepting && nanoseconds() - before < 5'000;
    accepting = false;
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd != listener) serve(fd, ready[i].events);
      if (fd == listener && !accept_some(at_once)) return false;
    }
    return count >= 0 || errno == EINTR;
  }
  bool accept_some(bool at_once) {
    unsigned wanted = 1;
    streak = at_once ? streak + 1 : 0;
    if (streak >= interval) {
      tcp_info info;
      socklen_t length = offsetof(tcp_info, tcpi_unacked) + sizeof info.tcpi_unacked;
      getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length);
      interval = info.tcpi_unacked > 1 ? 1 : std::min(interval * 2, 256U);
      streak = 0, wanted = std::min(info.tcpi_unacked, 64U);
    }
    accepting = true;
    while (wanted > 0 && accept_one()) --wanted;
    return wanted == 0 || errno == ECONNABORTED || errno == EAGAIN;
  }
  bool accept_one() {  // false: there was none, errno says why
    sockaddr_storage peer;
    socklen_t length = sizeof peer;
    const int fd = accept4(listener, (sockaddr*)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && !serve(fd, 0)) watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    return fd >= 0;
  }
  bool serve(int fd, unsigned events) {  // true: finished; false: goes on with the next edge
    while (work != floor_work::ac) {
      const bool last = work == floor_work::crr;
      const ssize_t got = recv(fd, buffer, last ? 64 : sizeof buffer, 0);
      if (got < 0 && errno == EAGAIN) return false;
      const int how = last ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
      if (got <= 0 || send(fd, buffer, static_cast<std::size_t>(got), how) != got || last) break;
      if (got < ssize_t{sizeof buffer} && (events & EPOLLRDHUP) == 0) return false;
    }
    return close(fd), ++closed, true;
  }
};
