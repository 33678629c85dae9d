// At the mark of urgent data a receive says EAGAIN when a signal is pending, whatever lies behind
// (tcp(7)).
#include <hinge/connection.hpp>
#include <hinge/loop.hpp>

#include <sys/socket.h>

#include "simulator/call_hooks.hpp"
#include "support/listening.hpp"
#include "support/readiness_poller.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cerrno>
#include <chrono>
#include <string>

using namespace hinge;
using namespace hinge::test;

namespace {

struct collecting {
  void on_data(connection, std::span<std::byte> bytes) {
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string all;
};

}  // namespace

TEST_CASE("urgent: what lies behind the mark is read, whatever a receive says of it") {
  // More often than a connection may receive in its turn, too.
  const int lies = GENERATE(0, 1, 3, 20);
  CAPTURE(lies);
  int left = 0;
  loop<readiness_poller, collecting> server;
  // From the mark on: a receive that isn't made leaves it where it is.
  const call_hooks hooks([&](call_id what, std::uint64_t) {
    if (what != call_id::recv || server.handler().all.size() < 3 || left == 0) return 0;
    --left;
    return -EAGAIN;
  });
  REQUIRE(server.open({.max_connections = 4}));
  REQUIRE(server.listen(address::loopback(0)));
  const unique_fd client = connected(server.listener_at(0).local());
  const auto heard = [&](const std::string& text) {
    for (int turns = 0; server.handler().all.size() < text.size() && turns < 50; ++turns) {
      REQUIRE(server.turn(deadline::after(now(), std::chrono::milliseconds(20))) >= 0);
    }
    return server.handler().all == text;
  };
  REQUIRE(::send(client.get(), "x", 1, 0) == 1);
  REQUIRE(heard("x"));
  left = lies;
  REQUIRE(::send(client.get(), "ab", 2, 0) == 2);
  REQUIRE(::send(client.get(), "!", 1, MSG_OOB) == 1);
  REQUIRE(heard("xab"));
  REQUIRE(::send(client.get(), "cd", 2, 0) == 2);
  CHECK(heard("xabcd"));
  CHECK(left == 0);
}
