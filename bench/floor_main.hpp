// The program around a floor: see served_arguments.hpp.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>

#include "served_arguments.hpp"

template <class Floor>
int floor_main(int argc, char** argv) {
  const auto given = read_served_arguments(argc, argv);
  if (!given) return 2;
  sockaddr_in at{AF_INET, htons(given->port), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof at;
  auto* name = reinterpret_cast<sockaddr*>(&at);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, name, length) < 0 || listen(listener, served_backlog) < 0)
    return perror("listen"), 1;
  getsockname(listener, name, &length);
  Floor floor(given->work, listener);
  if (!floor.turn(0)) return perror(argv[0]), 1;
  say_listening(ntohs(at.sin_port));
  while (floor.closed < given->connections) {
    if (!floor.turn(-1)) return perror(argv[0]), 1;
  }
  return floor.turn(0) ? 0 : 1;  // what the last turn has left to submit
}
