// The smallest page: every request is answered with it, and the connection ends. Shows finish():
// the reply and the end of the connection leave as one packet. `curl http://127.0.0.1:7000/`
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <cstdio>
#include <string_view>

struct hello {
  static constexpr std::string_view reply =
      "HTTP/1.1 200 OK\r\n"
      "Content-Type: text/plain\r\n"
      "Content-Length: 14\r\n"
      "Connection: close\r\n"
      "\r\n"
      "hello, hinge!\n";
  static constexpr std::string_view end_of_request = "\r\n\r\n";

  struct payload {
    std::size_t matched = 0;  // characters of end_of_request that came last
  };

  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    std::size_t& matched = peer.payload<payload>().matched;
    for (const std::byte byte : bytes) {
      const auto letter = static_cast<char>(byte);
      matched = letter == end_of_request[matched] ? matched + 1 : letter == '\r' ? 1 : 0;
      if (matched == end_of_request.size())
        return void(peer.finish(std::as_bytes(std::span(reply))));
    }
    if (peer.bytes_in() > 8192) peer.abort();  // no request is that long
  }
};

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

int main(int count, char** arguments) {
  const auto where = hinge::address::parse(count > 1 ? arguments[1] : "7000");
  if (!where) return complain(where.error());
  hinge::loop<hinge::any_poller, hello> server;
  if (const auto opened = server.open(); !opened) return complain(opened.error());
  if (const auto door = server.listen(*where); !door) return complain(door.error());
  std::printf("listening on %s\n", server.listener_at(0).local().text().c_str());
  std::fflush(stdout);
  return server.run() < 0;
}
