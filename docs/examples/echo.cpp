// An echo server: what arrives goes back. Run it, then `socat - TCP:127.0.0.1:7000`.
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <cstdio>

struct echo {
  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    if (!peer.send(bytes)) peer.abort();  // gone, or its queue is full
  }
};

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

int main(int count, char** arguments) {
  const auto where = hinge::address::parse(count > 1 ? arguments[1] : "7000");
  if (!where) return complain(where.error());
  hinge::loop<hinge::any_poller, echo> server;
  if (const auto opened = server.open(); !opened) return complain(opened.error());
  if (const auto door = server.listen(*where); !door) return complain(door.error());
  std::printf("listening on %s\n", server.listener_at(0).local().text().c_str());
  std::fflush(stdout);
  return server.run() < 0;
}
