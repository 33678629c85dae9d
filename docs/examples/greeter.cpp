// Greets each connection with the door that it came by. Shows a backend chosen at run time, and
// several addresses: `greeter epoll 7000 [::1]:7000 unix:@greeter`.
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

struct greeter {
  void on_accept(hinge::connection peer) {
    const hinge::listener& door = peer.loop().listener_at(peer.listener());
    const std::string text =
        "hello, " + peer.peer().text() + ", welcome at " + door.local().text() + "\n";
    peer.send(std::as_bytes(std::span(text)));
    peer.shutdown_write();  // a close would be a reset, should the peer have said something
  }
  void on_data(hinge::connection, std::span<std::byte>) {}
};

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

hinge::result<hinge::any_poller> poller_named(std::string_view name) {
  const auto wanted = hinge::backend_list::parse(name);
  if (!wanted) return hinge::fail(wanted);
  return hinge::any_poller::of(*wanted);
}

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: greeter BACKEND ADDRESS...\n");
    return 2;
  }
  auto poller = poller_named(arguments[1]);
  if (!poller) return complain(poller.error());
  hinge::loop server(std::move(*poller), greeter());
  if (const auto opened = server.open(); !opened) return complain(opened.error());
  for (int i = 2; i < count; ++i) {
    const auto where = hinge::address::parse(arguments[i]);
    if (!where) return complain(where.error());
    const bool path = where->family() == hinge::family::unix_path;
    const auto door = server.listen(*where, {.remove_stale_path = path});
    if (!door) return complain(door.error());
    std::printf("listening on %s\n", server.listener_at(*door).local().text().c_str());
  }
  std::printf("polling with %s\n", std::string(server.poller().name()).c_str());
  std::fflush(stdout);
  return server.run() < 0;
}
