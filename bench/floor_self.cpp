// What a connection costs the machine, piece by piece: both ends in one thread, one connection
// after the other, nothing ever waits. floor_self [CONNECTIONS] prints nanoseconds for each.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

struct piece {
  const char* what;
  long nanoseconds = 0;
};
enum { connecting, accepting, asking, receiving, replying, closing, reading, leaving, none, idle };
static piece pieces[] = {
    {"connect: socket, handshake"},   {"accept4 that succeeds"},
    {"client sends 64 bytes"},        {"server receives them"},
    {"server sends them, MSG_MORE"},  {"server closes: reply and FIN"},
    {"client receives, and the end"}, {"client closes, by a reset"},
    {"accept4 that says EAGAIN"},     {"epoll_wait(0), nobody there"},
};

static long now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
template <class Call>
static void timed(int which, Call call) {
  const long begin = now();
  if (call() < 0 && which != none) perror(pieces[which].what), exit(1);
  pieces[which].nanoseconds += now() - begin;
}

int main(int argc, char** argv) {
  const long connections = argc > 1 ? std::atol(argv[1]) : 20'000;
  sockaddr_in at{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof at;
  auto* name = reinterpret_cast<sockaddr*>(&at);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listener, name, length) < 0 || listen(listener, 16) < 0) return perror("listen"), 1;
  getsockname(listener, name, &length);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{EPOLLIN, {.fd = listener}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
  const linger reset{1, 0};
  char bytes[64]{};
  for (long i = 0; i < connections; ++i) {
    int client, server;
    timed(connecting, [&] {
      client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      return connect(client, name, length);
    });
    timed(accepting, [&] { return server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); });
    timed(asking, [&] { return send(client, bytes, sizeof bytes, 0); });
    timed(receiving, [&] { return recv(server, bytes, sizeof bytes, 0); });
    timed(replying, [&] { return send(server, bytes, sizeof bytes, MSG_MORE); });
    timed(closing, [&] { return close(server); });
    timed(reading, [&] { return recv(client, bytes, 64, 0) + recv(client, bytes, 64, 0); });
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    timed(leaving, [&] { return close(client); });
    timed(none, [&] { return accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); });
    timed(idle, [&] { return epoll_wait(epoll, &wanted, 1, 0); });
  }
  for (const piece& one : pieces)
    std::printf("%-30s%8ld\n", one.what, one.nanoseconds / connections);
}
