// The n-th request for memory fails, once or with all that follow: the loop doesn't open and says
// why, or it serves on. A connection that would need the memory is dropped and counted.
#include <hinge/loop.hpp>
#ifdef HINGE_HAVE_EPOLL
#include <hinge/epoll.hpp>
#endif
#include <hinge/kqueue.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>

#include "uring_probe.hpp"
#endif

#include "conformance/note_taker.hpp"
#include "conformance/world.hpp"
#include "fault/short_memory.hpp"
#include "support/descriptors.hpp"
#include "support/sized.hpp"
#include "sys.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace hinge;
using namespace hinge::test;

namespace {

/// Echoes; who begins with 'k' has his bytes kept, and sent when he has ended.
struct keeper {
  struct payload {
    kept_bytes kept;
  };

  void on_accept(connection) { ++accepted; }
  void on_data(connection c, std::span<std::byte> bytes) {
    if (static_cast<char>(bytes.front()) != 'k') {
      if (!c.send(bytes)) c.abort();
    } else if (kept_bytes kept = c.keep(bytes)) {
      c.payload<payload>().kept = std::move(kept);
    } else {
      c.abort();
    }
  }
  void on_end(connection c) {
    if (kept_bytes& kept = c.payload<payload>().kept) c.send_kept(std::move(kept));
    c.close();
  }
  void on_close(connection, close_cause cause) {
    ++closed;
    cut_off += cause == close_cause::error || cause == close_cause::local_abort;
  }

  std::uint64_t accepted = 0;
  std::uint64_t closed = 0;
  std::uint64_t cut_off = 0;
};

/// What the model of kevent(2) does isn't what is tested.
int unlimited_kevent(int queue, const sys::kernel_event* changes, sys::kernel_count change_count,
                     sys::kernel_event* into, sys::kernel_count room,
                     const timespec* wait) noexcept {
  const memory_in_plenty for_the_model;
  return sys::real.kevent(queue, changes, change_count, into, room, wait);
}
int unlimited_kqueue() noexcept {
  const memory_in_plenty for_the_model;
  return sys::real.kqueue();
}

class plentiful_model {
public:
  plentiful_model() {
    sys::current.kevent = unlimited_kevent;
    sys::current.kqueue = unlimited_kqueue;
  }
  ~plentiful_model() { sys::current = sys::real; }
  plentiful_model(const plentiful_model&) = delete;
  plentiful_model& operator=(const plentiful_model&) = delete;
};

template <class Poller>
class served {
public:
  bool open() {
    opened_ = running_.open({.max_connections = 16,
                             .queue_high_bytes = 2 * 1024 * 1024,
                             .queue_limit_bytes = 4 * 1024 * 1024,
                             .receive_buffers = 16});
    if (opened_) {
      const auto listening =
          running_.listen(address::loopback(0),
                          {.send_buffer_bytes = 16 * 1024, .receive_buffer_bytes = 16 * 1024});
      if (!listening) opened_ = fail(listening.error());
    }
    return bool(opened_);
  }
  const error& refusal() const { return opened_.error(); }

  void connect(const char* first) {
    const memory_in_plenty for_the_client;
    clients_.push_back(connect_client(running_.listener_at(0).local()));
    REQUIRE(clients_.back());
    clients_.back()->send(first);
  }

  /// Someone who is queued for, someone whose bytes are kept, and someone who needs nothing.
  void serve() {
    connect("e");
    connect("keep");
    connect("plain");
    static const std::string more(1024 * 1024, 'e');
    std::size_t given = 0;
    for (int turns = 0; turns < 60; ++turns) {
      given += clients_[0]->send(std::string_view(more).substr(given));
      turn(turns > 40);
      if (clients_[1]->received().empty() && turns == 20) clients_[1]->shutdown();
    }
    const memory_in_plenty for_the_check;
    CHECK(clients_[2]->received() == "plain");
  }

  /// The next client, with memory as it is.
  bool serve_another() {
    clients_.clear();
    connect("hello");
    for (int turns = 0; turns < 500 && clients_[0]->received() != "hello"; ++turns) turn(true);
    return clients_[0]->received() == "hello";
  }

  void end() {
    clients_.clear();
    running_.drain(std::chrono::milliseconds(50));
    for (int turns = 0; turns < 1000 && !running_.finished(); ++turns) turn(true);
    CHECK(running_.finished());
    CHECK(running_.handler().accepted == running_.handler().closed);
  }

  std::uint64_t cut_off() { return running_.handler().cut_off; }

private:
  void turn(bool hear) {
    const int turned = running_.turn(deadline::after(running_.now(), std::chrono::milliseconds(2)));
    const memory_in_plenty for_the_rest;
    CHECK(turned >= 0);
    const loop_counters& counted = running_.counters();
    CHECK(counted.accepted == running_.open_connections() + counted.closed_total() + counted.shed);
    // The first one reads nothing until the end.
    for (std::size_t i = hear ? 0 : 1; i < clients_.size(); ++i) clients_[i]->listen_in();
  }

  loop<Poller, keeper> running_;
  result<void> opened_;
  std::vector<std::unique_ptr<client>> clients_;
};

struct outcome {
  bool failed = false;  // something was refused
  bool opened = false;
  bool served = false;  // the next client
  std::uint64_t cut_off = 0;
};

template <class Poller>
outcome live_short_of_memory(std::uint64_t nth, bool for_good) {
  INFO("request " << nth << " for memory" << (for_good ? " and all after it" : ""));
  outcome found;
  const std::size_t descriptors = open_descriptors();
  {
    const plentiful_model model;
    served<Poller> at;
    {
      const short_memory scarce(nth, for_good);
      found.opened = at.open();
      if (found.opened) at.serve();
      found.failed = scarce.has_failed();
      if (found.opened) found.served = at.serve_another();
    }
    if (found.opened) {
      CHECK(found.served);
      CHECK(at.serve_another());
      at.end();
      found.cut_off = at.cut_off();
    } else {
      CHECK(at.refusal().code() == ENOMEM);
      CHECK(found.failed);
    }
  }
  CHECK(open_descriptors() == descriptors);
  return found;
}

template <class Poller>
void fail_each_request() {
  live_short_of_memory<Poller>(1'000'000, false);  // what is made once in a process
  for (const bool for_good : {false, true}) {
    std::uint64_t refused_opens = 0;
    std::uint64_t lost = 0;
    std::uint64_t nth = 1;
    for (; nth < 1000; ++nth) {
      const outcome found = live_short_of_memory<Poller>(nth, for_good);
      if (!found.failed) break;
      refused_opens += !found.opened;
      lost += found.cut_off;
    }
    std::printf("%s: %d requests for memory, %d opens refused, %d connections cut off\n",
                for_good ? "for good" : "once", static_cast<int>(nth - 1),
                static_cast<int>(refused_opens), static_cast<int>(lost));
    CHECK(nth < 1000);
    // Both have come to pass: that it didn't open, and that it opened and lost somebody.
    CHECK(refused_opens > 5);
    CHECK(lost > 0);
  }
}

}  // namespace

TEST_CASE("memory: what fails is counted, and nothing is left") {
  const short_memory scarce(2, false);
  const std::unique_ptr<int> first(new (std::nothrow) int);
  const std::unique_ptr<int> second(new (std::nothrow) int);
  const std::unique_ptr<int> third(new (std::nothrow) int);
  CHECK((first && !second && third));
  CHECK(scarce.has_failed());
}

#ifdef HINGE_HAVE_EPOLL
TEST_CASE("memory: each request for it fails once, and for good - epoll") {
  fail_each_request<epoll_poller>();
}
#endif

TEST_CASE("memory: each request for it fails once, and for good - kqueue") {
  fail_each_request<kqueue_poller>();
}

#ifdef HINGE_HAVE_URING
TEST_CASE("memory: each request for it fails once, and for good - uring") {
  if (const result<void> usable = uring_verdict(); !usable) SKIP(usable.error().text());
  fail_each_request<uring_poller>();
}
#endif
