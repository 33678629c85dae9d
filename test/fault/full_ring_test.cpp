// A ring whose queue of completions is far too small for what comes: the kernel ends multishot
// accepts without an error, and keeps what doesn't fit. Nobody is lost, and nobody spins.
#include <hinge/loop.hpp>
#include <hinge/uring.hpp>

#include "ring_sys.hpp"
#include "support/listening.hpp"
#include "uring_probe.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

constexpr unsigned entries = 16;
constexpr std::uint32_t clients = 10'000;
constexpr std::uint32_t at_once = 100;

/// While it lives every ring has so few entries, whatever was asked for.
class small_rings {
public:
  small_rings() { sys::current_ring.io_uring_queue_init_params = open; }
  ~small_rings() { sys::current_ring = sys::real_ring; }
  small_rings(const small_rings&) = delete;
  small_rings& operator=(const small_rings&) = delete;

  static inline unsigned made = 0;  // entries of the last one

private:
  static int open(unsigned submissions, io_uring* ring, io_uring_params* terms) noexcept {
    terms->cq_entries = entries;
    const int failed =
        sys::real_ring.io_uring_queue_init_params(std::min(submissions, entries), ring, terms);
    made = failed == 0 ? ring->cq.ring_entries : 0;
    return failed;
  }
};

struct echo {
  void on_data(connection c, std::span<std::byte> bytes) { c.finish(bytes); }
  void on_close(connection, close_cause cause) { ended_well += cause == close_cause::local_close; }
  void on_listener_error(std::size_t, int) { ++errors; }

  std::uint32_t ended_well = 0;
  std::uint32_t errors = 0;
};

/// Whether the answer is there, of which nobody reads more than one.
bool answered(const unique_fd& client) {
  std::array<std::byte, 8> room;
  return sockets::receive(client.get(), room) == 1;
}

/// What a ring of that size has to say of one multishot accept while `waiting` clients come, when
/// nobody asks again.
struct accept_story {
  std::uint32_t accepted = 0;
  std::uint32_t errors = 0;
  bool goes_on = true;
};

accept_story accept_once(std::uint32_t waiting) {
  io_uring ring;
  io_uring_params terms{};
  terms.flags = IORING_SETUP_CQSIZE;
  terms.cq_entries = entries;
  REQUIRE(io_uring_queue_init_params(entries, &ring, &terms) == 0);
  accept_story found;
  {
    const listener at = opened(address::loopback(0), {.backlog = static_cast<int>(waiting)});
    io_uring_prep_multishot_accept(io_uring_get_sqe(&ring), at.fd(), nullptr, nullptr, 0);
    REQUIRE(io_uring_submit(&ring) == 1);
    std::vector<unique_fd> crowd;
    while (crowd.size() < waiting) crowd.push_back(connected(at.local()));
    __kernel_timespec patience{.tv_sec = 0, .tv_nsec = 100'000'000};
    for (io_uring_cqe* told; io_uring_wait_cqe_timeout(&ring, &told, &patience) == 0;) {
      const unique_fd taken(told->res);
      ++(taken ? found.accepted : found.errors);
      found.goes_on = (told->flags & IORING_CQE_F_MORE) != 0;
      io_uring_cqe_seen(&ring, told);
    }
  }
  io_uring_queue_exit(&ring);
  return found;
}

void serve_in_crowds(const uring_options& options,
                     accept_sharing accepting = accept_sharing::alone) {
  const small_rings all;
  loop<uring_poller, echo> server{uring_poller(options), echo()};
  REQUIRE(server.open({.max_connections = 2 * at_once, .accepting = accepting}));
  CHECK(small_rings::made == entries);
  REQUIRE(server.listen(address::loopback(0), {.backlog = 2 * at_once}));
  const std::string_view question = "?";
  std::uint32_t answers = 0;
  for (std::uint32_t come = 0; come < clients; come += at_once) {
    std::vector<unique_fd> crowd;
    for (std::uint32_t i = 0; i < at_once; ++i) {
      crowd.push_back(connected(server.listener_at(0).local()));
      REQUIRE(sockets::send(crowd.back().get(), std::as_bytes(std::span(question))) == 1);
    }
    const std::uint32_t wanted = come + at_once;
    for (int turns = 0; turns < 1000 && server.handler().ended_well < wanted; ++turns)
      REQUIRE(server.turn(deadline::after(now(), std::chrono::milliseconds(20))) >= 0);
    answers += static_cast<std::uint32_t>(std::count_if(crowd.begin(), crowd.end(), answered));
  }
  const loop_counters& counted = server.counters();
  std::printf("%u clients, %u turns\n", clients, static_cast<unsigned>(counted.turns));
  CHECK(answers == clients);
  CHECK(counted.accepted == clients);
  CHECK(counted.closed_total() == clients);
  CHECK(server.handler().errors == 0);
  CHECK(counted.accept_exhausted == 0);
  // One that accepts one a turn takes as many turns; asking in vain takes any number.
  CHECK(counted.turns < 2 * clients);
}

}  // namespace

TEST_CASE("full ring: 16 completions, 10,000 clients in crowds") {
  if (const result<void> usable = uring_verdict(); !usable) SKIP(usable.error().text());
  SECTION("armed") { serve_in_crowds({}); }
  SECTION("polls first") { serve_in_crowds({.receive = uring_receive::poll_first}); }
  SECTION("accepts one") { serve_in_crowds({}, accept_sharing::first_come); }
}

TEST_CASE("full ring: who waits for an error to ask again accepts no more") {
  if (const result<void> usable = uring_verdict(); !usable) SKIP(usable.error().text());
  const accept_story found = accept_once(at_once);
  std::printf("asked once: %u of %u accepted\n", found.accepted, at_once);
  CHECK(found.accepted < at_once);
  CHECK(found.errors == 0);
  CHECK(!found.goes_on);
}
