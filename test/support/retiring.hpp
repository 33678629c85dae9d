// What tests of retirements have in common: clients that may be reset, and an echo.
#pragma once

#include <hinge/loop.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "support/listening.hpp"
#include "support/usable.hpp"

namespace hinge::test {

struct retiring_echo {
  void on_data(connection c, std::span<std::byte> bytes) noexcept { c.send(bytes); }
};

inline const listener_options shared_port = {.backlog = 256, .reuse_port = true};

inline void connect_some(std::vector<unique_fd>& all, const address& at, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) all.push_back(connected(at));
}

inline bool is_reset(const unique_fd& client) {
  char byte;
  return ::recv(client.get(), &byte, 1, MSG_DONTWAIT) <= 0 && errno == ECONNRESET;
}

inline std::size_t reset_ones(const std::vector<unique_fd>& all) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return static_cast<std::size_t>(std::ranges::count_if(all, is_reset));
}

/// Bound without any option that would hide who listens.
inline int bind_plainly(const address& at) {
  const unique_fd fd(::socket(domain_of(at), SOCK_STREAM | SOCK_CLOEXEC, 0));
  return sockets::bind(fd.get(), at);
}

}  // namespace hinge::test
