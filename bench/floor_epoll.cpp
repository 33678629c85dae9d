// floor_epoll ac|crr|echo PORT [N]: serves on 127.0.0.1:PORT (0: any, printed); ends after N
// connections.
#include "floor_epoll.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  const std::string_view work = argc > 2 ? argv[1] : "";
  const unsigned long limit = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0;
  if (work != "ac" && work != "crr" && work != "echo") {
    return std::fputs("usage: floor_epoll ac|crr|echo PORT [CONNECTIONS]\n", stderr), 2;
  }
  sockaddr_in at{AF_INET, htons(std::atoi(argv[2])), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof at;
  auto* name = reinterpret_cast<sockaddr*>(&at);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, name, length) < 0 || listen(listener, 4096) < 0) return perror("listen"), 1;
  getsockname(listener, name, &length);
  std::printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port)), std::fflush(stdout);
  floor_epoll floor(work == "ac"    ? floor_work::ac
                    : work == "crr" ? floor_work::crr
                                    : floor_work::echo,
                    listener);
  while (limit == 0 || floor.closed < limit) {
    if (!floor.turn(-1)) return perror("floor_epoll"), 1;
  }
}
