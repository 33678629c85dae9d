// Received bytes that a handler keeps or hands on, on every backend alike.
#include "conformance/house.hpp"

#include <algorithm>

#include <hinge/kept_bytes.hpp>

using namespace hinge;
using namespace hinge::test;

namespace {

constexpr loop_options few_buffers = {.receive_buffers = 32, .ring_buffer_bytes = 4 * 1024};

std::string text_of(const kept_bytes& kept) {
  return {reinterpret_cast<const char*>(kept.bytes().data()), kept.bytes().size()};
}

/// `kept` goes before the loop does.
void keep_all(house& at, std::vector<kept_bytes>& kept) {
  at.notes().does.data = [&kept](connection c, std::span<std::byte> bytes) {
    kept.push_back(c.keep(bytes));
  };
}

}  // namespace

HINGE_TEST_CASE("keep: kept bytes stay what they were while others come", backends) {
  house at(backend, {}, few_buffers);
  std::vector<kept_bytes> kept;
  keep_all(at, kept);
  client& peer = at.enter();
  // More than there are buffers: nobody's share is so large.
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < 100; ++i) {
    sent.push_back(pattern(1000, i * 1000));
    peer.send(sent.back());
    REQUIRE(at.until([&] { return at.about(0).data.size() == (i + 1) * 1000; }));
  }
  std::string all;
  for (const kept_bytes& one : kept) all += text_of(one);
  CHECK((all == at.about(0).data));
  CHECK((all == pattern(100'000)));
}

HINGE_TEST_CASE("keep: who keeps much leaves the others their buffers", backends) {
  house at(backend, {}, few_buffers);
  std::vector<kept_bytes> kept;
  at.notes().does.data = [&](connection c, std::span<std::byte> bytes) {
    if (bytes.front() == std::byte{'k'}) kept.push_back(c.keep(bytes));
    c.send(bytes);
  };
  at.enter();
  client& other = at.enter();
  for (std::size_t i = 1; i <= 100; ++i) {
    at.peers[0]->send("k");
    REQUIRE(at.until([&] { return at.peers[0]->received().size() == i; }));
  }
  other.send("hello");
  CHECK(at.until([&] { return other.received() == "hello"; }));
  CHECK(kept.size() == 100);
  const auto in_place =
      std::count_if(kept.begin(), kept.end(), [](const kept_bytes& one) { return one.in_place(); });
  CHECK(in_place <= 2);  // a sixteenth of 32
  CHECK((in_place != 0) == backend.completes);
}

HINGE_TEST_CASE("keep: what was kept can be sent, by any connection", backends) {
  house at(backend, {}, few_buffers);
  std::vector<kept_bytes> kept;
  keep_all(at, kept);
  client& from = at.enter();
  client& to = at.enter();
  for (int i = 0; i < 50; ++i) {
    from.send("question");
    REQUIRE(at.until([&] { return !kept.empty(); }));
    CHECK(at.handle(1).send_kept(std::move(kept.front())));
    CHECK_FALSE(kept.front());
    kept.clear();
    REQUIRE(at.until([&] { return to.received().size() == 8 * (i + 1U); }));
  }
  CHECK(from.received().empty());
}

HINGE_TEST_CASE("keep: bytes outlive their connection, not a refused send", backends) {
  house at(backend, {}, few_buffers);
  std::vector<kept_bytes> kept;
  keep_all(at, kept);
  at.enter().send("still here");
  REQUIRE(at.until([&] { return !kept.empty(); }));
  at.handle(0).abort();
  REQUIRE(at.until([&] { return at.about(0).closes == 1; }));
  at.rest();
  CHECK(text_of(kept[0]) == "still here");
  CHECK_FALSE(at.handle(0).send_kept(std::move(kept[0])));
  CHECK(text_of(kept[0]) == "still here");
  // The slot's next connection has a share of its own.
  client& next = at.enter();
  next.send("next");
  REQUIRE(at.until([&] { return kept.size() == 2; }));
  kept.erase(kept.begin());
  CHECK(at.handle(1).send_kept(std::move(kept[0])));
  CHECK(at.until([&] { return next.received() == "next"; }));
}

HINGE_TEST_CASE("keep: of nothing, of others' bytes, of a connection that has gone", backends) {
  house at(backend);
  at.enter();
  const std::string own = "own bytes";
  CHECK_FALSE(at.handle(0).keep({}));
  const kept_bytes copied = at.handle(0).keep(bytes_of(own));
  CHECK(text_of(copied) == own);
  CHECK_FALSE(copied.in_place());
  CHECK_FALSE(at.handle(0).send_kept(kept_bytes()));
  at.handle(0).close();
  REQUIRE(at.until([&] { return at.about(0).closes == 1; }));
  at.rest();
  CHECK_FALSE(at.handle(0).keep(bytes_of(own)));
}
