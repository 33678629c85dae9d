// A server with several loops, and its clients.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/server.hpp>

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/usable.hpp"

namespace hinge::test {

inline constexpr std::uint32_t loop_count = 3;

/// Says which loop serves: one letter before what came.
struct named_echo {
  std::uint32_t index = 0;
  void on_data(connection c, std::span<std::byte> bytes) noexcept {
    const auto letter = static_cast<std::byte>('a' + index);
    c.send(std::span(&letter, 1));
    c.send(bytes);
  }
};

using served = server<any_poller, named_echo>;

/// A server whose handlers know their loop.
struct house_of_loops {
  explicit house_of_loops(backend of)
      : server([](std::uint32_t index) { return named_echo{index}; },
               [of] {
                 auto made = any_poller::of(of);
                 REQUIRE(made);
                 return *std::move(made);
               }) {}
  result<void> open(accept_policy policy, std::uint32_t loops = loop_count) {
    server_options options{.loops = loops, .policy = policy};
    options.loop.max_connections = 64;
    options.loop.receive_buffers = 32;
    return server.open(options);
  }
  served server;
};

/// What the server answers to an "x"; empty: the connection has ended.
inline std::string answer(int fd) {
  REQUIRE(::send(fd, "x", 1, MSG_NOSIGNAL) == 1);
  // Not MSG_WAITALL: what is left of a ring that this thread had may end that early.
  std::string got;
  char one;
  while (got.size() < 2 && ::recv(fd, &one, 1, 0) == 1) got += one;
  return got;
}

inline std::vector<unique_fd> clients(std::size_t count, const address& at) {
  std::vector<unique_fd> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.emplace_back(::socket(domain_of(at), SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(made.back());
    REQUIRE(sockets::connect(made.back().get(), at) == 0);
  }
  return made;
}

inline bool can_do(backend of, accept_policy policy) {
  if (policy == accept_policy::shared_fifo) return of == backend::io_uring;
  if (policy == accept_policy::sharded_cpu) return !masked;
  return policy != accept_policy::shared_exclusive || of != backend::io_uring;
}

inline constexpr std::array every_policy = {
    accept_policy::automatic,
    accept_policy::sharded,
    accept_policy::sharded_cpu,
    accept_policy::shared_fifo,
    accept_policy::shared_exclusive,
    accept_policy::dispatch,
    accept_policy::thread_per_connection,
};

}  // namespace hinge::test
