// Reading that pauses, on every backend alike.
#include "conformance/house.hpp"

using namespace hinge;
using namespace hinge::test;

HINGE_TEST_CASE("life: paused reading hears nothing, and then everything", backends) {
  house at(backend, {.accept = [](connection c) { CHECK(c.pause_reading()); }});
  client& peer = at.enter();
  const std::string sent = pattern(30'000);
  peer.send(sent);
  peer.shutdown();
  at.rest();
  CHECK(at.about(0).calls == 0);
  CHECK_FALSE(at.about(0).ended);
  CHECK(at.handle(0).resume_reading());
  CHECK(at.until([&] { return at.about(0).ended; }));
  CHECK((at.about(0).data == sent));
}

HINGE_TEST_CASE("life: paused reading slows the peer down, each time", backends) {
  house at(backend, {.accept = [](connection c) { c.pause_reading(); }});
  client& peer = at.enter();
  const std::string sent = pattern(2'000'000);
  std::size_t given = 0;
  for (std::size_t round = 1; round <= 3; ++round) {
    const std::size_t before = given;
    for (int i = 0; i < 50; ++i) {
      given += peer.send(std::string_view(sent).substr(given, 100'000));
      at.turn();
    }
    CHECK(given - before < 500'000);
    CHECK(at.handle(0).resume_reading());
    CHECK(at.until([&] { return at.about(0).data.size() == given; }));
    CHECK(at.handle(0).pause_reading());
  }
  CHECK((at.about(0).data == sent.substr(0, given)));
}

HINGE_TEST_CASE("life: pausing in the middle of what is there", backends) {
  house at(backend, {.data = [](connection c, std::span<std::byte>) { c.pause_reading(); }},
           {.receive_buffer_bytes = 100, .ring_buffer_bytes = 100});
  client& peer = at.enter();
  const std::string sent = pattern(950);
  peer.send(sent);
  for (std::size_t i = 1; i <= 10; ++i) {
    CHECK(at.until([&] { return at.about(0).calls == i; }));
    at.rest();
    CHECK(at.about(0).calls == i);
    CHECK(at.handle(0).resume_reading());
  }
  CHECK(at.until([&] { return at.about(0).data == sent; }));
  peer.shutdown();
  CHECK(at.until([&] { return at.about(0).closes == 1; }));
}
