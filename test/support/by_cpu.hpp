// Which CPU receives a connection, and whose loop serves it.
#pragma once

#include <hinge/connection.hpp>

#include <catch2/catch_test_macros.hpp>

#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#ifdef SO_INCOMING_CPU
namespace hinge::test {

/// Has this thread run on one CPU alone; as before in the end.
struct pinned {
  explicit pinned(int cpu) {
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  }
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;
  ~pinned() { ::sched_setaffinity(0, sizeof before, &before); }
  cpu_set_t before;
};

/// Answers with its loop's number and the CPU that received the connection.
struct tells_cpu {
  std::uint32_t index = 0;
  void on_data(connection c, std::span<std::byte>) noexcept {
    int cpu = -1;
    socklen_t length = sizeof cpu;
    ::getsockopt(c.fd(), SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length);
    const std::array said = {static_cast<std::byte>(index), static_cast<std::byte>(cpu)};
    c.send(said);
  }
};

inline std::vector<int> cpus_of_this_thread() {
  cpu_set_t mine;
  REQUIRE(::sched_getaffinity(0, sizeof mine, &mine) == 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &mine)) cpus.push_back(cpu);
  return cpus;
}

}  // namespace hinge::test
#endif
