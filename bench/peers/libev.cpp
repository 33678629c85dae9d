// libev, which leaves the system calls to its user: an ev_io for the listener and one for each
// connection, non-blocking as its manual wants it. HINGE_PEER_ACCEPTS_ONE: one accept for each time
// that the listener is ready; otherwise until nobody is left, as libuv and libevent do.
#include <ev.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "served_arguments.hpp"

namespace {

#ifdef HINGE_PEER_ACCEPTS_ONE
constexpr bool accepts_one = true;
#else
constexpr bool accepts_one = false;
#endif

served_arguments given;
unsigned long closed = 0;

void count_closed(struct ev_loop* loop) {
  if (++closed == given.connections) ev_break(loop, EVBREAK_ALL);
}

void end(struct ev_loop* loop, ev_io* client) {
  ev_io_stop(loop, client);
  close(client->fd);
  std::free(client);
  count_closed(loop);
}

void on_readable(struct ev_loop* loop, ev_io* client, int) {
  const bool last = given.work == floor_work::crr;
  char bytes[65'536];
  const ssize_t got = recv(client->fd, bytes, last ? 64 : sizeof bytes, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got > 0) {
    const ssize_t sent = send(client->fd, bytes, static_cast<std::size_t>(got), MSG_NOSIGNAL);
    if (sent == got && !last) return;
  }
  end(loop, client);
}

void on_connection(struct ev_loop* loop, ev_io* listener, int) {
  do {
    const int fd = accept4(listener->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (given.work == floor_work::ac) {
      close(fd);
      count_closed(loop);
      continue;
    }
    auto* client = static_cast<ev_io*>(std::malloc(sizeof(ev_io)));
    ev_io_init(client, on_readable, fd, EV_READ);
    ev_io_start(loop, client);
  } while (!accepts_one);
}

}  // namespace

int main(int argc, char** argv) {
  const auto read = read_served_arguments(argc, argv);
  if (!read) return 2;
  given = *read;
  sockaddr_in at{AF_INET, htons(given.port), {htonl(INADDR_LOOPBACK)}, {}};
  auto* name = reinterpret_cast<sockaddr*>(&at);
  socklen_t length = sizeof at;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, name, length) < 0 || listen(fd, served_backlog) < 0) return std::perror("listen"), 1;
  getsockname(fd, name, &length);
  struct ev_loop* loop = ev_default_loop(0);
  ev_io listener;
  ev_io_init(&listener, on_connection, fd, EV_READ);
  ev_io_start(loop, &listener);
  std::printf("libev %d.%d\n", ev_version_major(), ev_version_minor());
  say_listening(ntohs(at.sin_port));
  ev_run(loop, 0);
  return 0;
}
