#include "kevent_model/filters.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace hinge::test::kevent_model {

namespace {

int option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

/// Of a TCP socket; else of all zeros.
tcp_info about_tcp(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}

bool has_shut_its_side(int fd) {
  const unsigned state = about_tcp(fd).tcpi_state;
  return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
         state == TCP_LAST_ACK || state == TCP_CLOSE;
}

int error_of(queue& of, const note& one, const behaviour& how) {
  const std::uintptr_t fd = one.wanted.ident;
  const auto known = of.errors.find(fd);
  if (known != of.errors.end() && known->second.first == one.of) return known->second.second;
  if (!how.takes_error) return ECONNRESET;  // it can't be looked at; here it is nothing else
  const int code = option(static_cast<int>(fd), SOL_SOCKET, SO_ERROR);
  if (code > 0) of.errors[fd] = {one.of, code};
  return std::max(code, 0);
}

}  // namespace

std::optional<file> file_of(std::uintptr_t fd) {
  struct stat about;
  // Not by fstat(3): the number may be another thread's by now, which is what is asked here, and
  // which a thread sanitizer takes for a race.
  if (syscall(SYS_fstat, static_cast<int>(fd), &about) != 0) return {};
  return file{about.st_dev, about.st_ino};
}

found look(queue& of, const note& one, const behaviour& how) {
  if (one.wanted.filter == EVFILT_USER) return {.fires = one.active};
  const int fd = static_cast<int>(one.wanted.ident);
  const bool reads = one.wanted.filter == EVFILT_READ;
  if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
    pollfd state{.fd = fd, .events = POLLIN, .revents = 0};
    if (!reads || ::poll(&state, 1, 0) <= 0) return {};
    const std::int64_t waiting = about_tcp(fd).tcpi_unacked;
    return {.fires = true, .data = how.counts_waiting ? std::max<std::int64_t>(waiting, 1) : 1};
  }
  pollfd state{.fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP, .revents = 0};
  ::poll(&state, 1, 0);
  const auto any = [&](int bits) { return (state.revents & bits) != 0; };
  found made;
  if (how.errors_lack_end && any(POLLERR)) return {.fires = true};
  const bool known = of.errors.count(one.wanted.ident) != 0;
  if (any(POLLERR) || (known && any(POLLHUP))) made.error = error_of(of, one, how);
  int bytes = 0;
  if (reads) {
    ioctl(fd, FIONREAD, &bytes);
    // Linux counts to the urgent mark; the others count what lies behind it, too.
    made.data = bytes + (any(POLLPRI) ? 1 : 0);
    made.ended = any(POLLRDHUP | POLLHUP | POLLERR);
    made.fires = made.data > 0 || made.ended;
  } else {
    ioctl(fd, TIOCOUTQ, &bytes);
    made.data = std::max(option(fd, SOL_SOCKET, SO_SNDBUF) - bytes, 0);
    made.ended = any(POLLERR | POLLHUP) || has_shut_its_side(fd);
    made.fires = any(POLLOUT) || made.ended;
  }
  return made;
}

}  // namespace hinge::test::kevent_model
