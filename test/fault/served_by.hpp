// What tests of the choice among backends ask: whether io_uring is to be had, and who serves.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include "simulator/ring_hooks.hpp"
#include "support/listening.hpp"
#include "uring_probe.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <string>
#include <string_view>

namespace hinge::test {

/// The verdict of the next who asks is a new one, and what it was is forgotten at the end.
struct anew {
  anew() { forget_uring_verdict(); }
  ~anew() { forget_uring_verdict(); }
  anew(const anew&) = delete;
  anew& operator=(const anew&) = delete;
};

struct echo {
  void on_data(connection peer, std::span<std::byte> bytes) { peer.send(bytes); }
};

/// A loop on the automatic choice answers a client; the name of its poller.
inline std::string served_by() {
  loop<any_poller, echo> server{any_poller(), echo()};
  REQUIRE(server.open());
  REQUIRE(server.listen(address::loopback(0)));
  const unique_fd client = connected(server.listener_at(0).local());
  const std::string_view asked = "who is there?";
  REQUIRE(sockets::send(client.get(), std::as_bytes(std::span(asked))) > 0);
  std::array<std::byte, 64> answer;
  int got = -EAGAIN;
  for (int turns = 0; sockets::would_block(got) && turns < 100; ++turns) {
    REQUIRE(server.turn(deadline::after(now(), std::chrono::milliseconds(20))) >= 0);
    got = sockets::receive(client.get(), answer);
  }
  CHECK(got == static_cast<int>(asked.size()));
  return std::string(server.poller().name());
}

inline bool usable() {
  forget_uring_verdict();
  return bool(uring_verdict());
}

inline std::string limit(std::string_view name, int which) {
  rlimit of{};
  REQUIRE(::getrlimit(static_cast<__rlimit_resource>(which), &of) == 0);
  if (of.rlim_cur == RLIM_INFINITY) return {};
  return std::string(", ").append(name).append("=").append(std::to_string(of.rlim_cur));
}

inline ring_hooks::call_decision refusing(ring_call_id what, int code) {
  return [=](ring_call_id made, std::uint64_t) { return made == what ? -code : 0; };
}

constexpr nanoseconds with_patience = std::chrono::milliseconds(1500);

}  // namespace hinge::test
