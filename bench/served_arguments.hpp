// What the programs have in common that hinge-bench starts as servers, floors and peers alike:
// NAME ac|crr|echo PORT [N] serves on 127.0.0.1:PORT (0: any), says "listening on ADDR" on stdout
// as soon as it does, and ends after N connections (never, without). Before, it may say in a line
// what it serves by: "libuv 1.44.2".
#pragma once
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "floor_work.hpp"

struct served_arguments {
  floor_work work = floor_work::ac;
  unsigned short port = 0;
  unsigned long connections = ULONG_MAX;
};
inline constexpr int served_backlog = 4096;

/// Nothing, and told on stderr, when they can't be used: exit code 2.
inline std::optional<served_arguments> read_served_arguments(int argc, char** argv) {
  const std::string_view work = argc > 2 ? argv[1] : "";
  served_arguments given;
  if (work == "crr") given.work = floor_work::crr;
  if (work == "echo") given.work = floor_work::echo;
  if (work != "ac" && given.work == floor_work::ac) {
    std::fprintf(stderr, "usage: %s ac|crr|echo PORT [CONNECTIONS]\n", argv[0]);
    return {};
  }
  given.port = static_cast<unsigned short>(std::atoi(argv[2]));
  if (argc > 3) given.connections = std::strtoul(argv[3], nullptr, 10);
  return given;
}

inline void say_listening(unsigned port) {
  std::printf("listening on 127.0.0.1:%u\n", port);
  std::fflush(stdout);
}
