// An echo server: what arrives goes back. Run it, then `socat - TCP:127.0.0.1:7000`.
#include <hinge/epoll.hpp>
#include <hinge/loop.hpp>

#include <cstdio>

struct echo {
  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    if (!peer.send(bytes)) peer.abort();  // gone, or its queue is full
  }
};

int main(int, char** arguments) {
  const auto where = hinge::address::parse(arguments[1] != nullptr ? arguments[1] : "7000");
  hinge::loop<hinge::epoll_poller, echo> server;
  auto ready = where ? server.open() : hinge::result<void>(hinge::fail(where.error()));
  if (ready) {
    if (const auto door = server.listen(*where); !door) ready = hinge::fail(door.error());
  }
  if (!ready) {
    std::fprintf(stderr, "%s\n", ready.error().text().c_str());
    return 1;
  }
  std::printf("listening on %s\n", server.listener_at(0).local().text().c_str());
  std::fflush(stdout);
  return server.run() < 0;
}
