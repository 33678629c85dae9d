// The program around a floor: NAME ac|crr|echo PORT [N] serves on 127.0.0.1:PORT (0: any, printed)
// and ends after N connections.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "floor_work.hpp"

template <class Floor>
int floor_main(int argc, char** argv) {
  const std::string_view work = argc > 2 ? argv[1] : "";
  const unsigned long limit = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : ULONG_MAX;
  if (work != "ac" && work != "crr" && work != "echo") {
    return std::fprintf(stderr, "usage: %s ac|crr|echo PORT [CONNECTIONS]\n", argv[0]), 2;
  }
  sockaddr_in at{AF_INET, htons(std::atoi(argv[2])), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof at;
  auto* name = reinterpret_cast<sockaddr*>(&at);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, name, length) < 0 || listen(listener, 4096) < 0) return perror("listen"), 1;
  getsockname(listener, name, &length);
  Floor floor(work == "ac"    ? floor_work::ac
              : work == "crr" ? floor_work::crr
                              : floor_work::echo,
              listener);
  if (!floor.turn(0)) return perror(argv[0]), 1;
  std::printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port)), std::fflush(stdout);
  while (floor.closed < limit) {
    if (!floor.turn(-1)) return perror(argv[0]), 1;
  }
  return floor.turn(0) ? 0 : 1;  // what the last turn has left to submit
}
