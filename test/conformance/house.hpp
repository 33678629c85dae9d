// A loop with listeners and peers, looked at from outside.
#pragma once

#include <hinge/connection.hpp>

#include "conformance/backends.hpp"

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hinge::test {

/// What a handler has heard of one connection.
struct heard {
  std::string data = {};
  std::size_t calls = 0;
  bool ended = false;
  std::size_t writable = 0;
  bool draining = false;
  close_cause cause = close_cause::none;
  std::size_t closes = 0;
  instant closed_at = 0;
  int fd = -1;
  std::size_t listener = 0;
};

/// What it does, besides taking notes. Empty functions do nothing; an end without one closes.
struct script {
  std::function<void(connection)> accept = {};
  std::function<void(connection, std::span<std::byte>)> data = {};
  std::function<void(connection)> end = [](connection c) { c.close(); };
  std::function<void(connection)> writable = {};
  std::function<void(connection, close_cause)> close = {};
  std::function<void(connection)> drain = {};
};

/// Notes everything in the order of the accepts, and follows a script.
class note_taker {
public:
  /// The number under which the notes of a connection stand; each connection keeps its own.
  struct payload {
    std::size_t number = 0;
  };

  void on_accept(connection c);
  void on_data(connection c, std::span<std::byte> bytes);
  void on_end(connection c);
  void on_writable(connection c);
  void on_drain(connection c);
  void on_close(connection c, close_cause cause);
  void on_listener_error(std::size_t listener, int code);

  script does;
  std::vector<heard> all;
  std::vector<connection> handles;
  std::vector<std::pair<std::size_t, int>> errors;

private:
  static std::size_t& number(connection c) { return c.payload<payload>().number; }
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline void echo(connection c, std::span<std::byte> bytes) { c.send(bytes); }

/// Bytes of which each shows where it belongs.
inline std::string pattern(std::size_t count, std::size_t first = 0) {
  std::string made(count, '\0');
  for (std::size_t i = 0; i < count; ++i)
    made[i] = static_cast<char>((first + i) * 31 + (first + i) / 251);
  return made;
}

template <class Backend>
class house {
public:
  static constexpr std::size_t most_turns = 1000;
  static inline const listener_options small_buffers = {.send_buffer_bytes = 32 * 1024,
                                                        .receive_buffer_bytes = 32 * 1024};

  explicit house(script does = {}, loop_options options = {}, std::size_t listeners = 1)
      : running(Backend::make_loop(note_taker())) {
    notes().does = std::move(does);
    if (options.max_connections == 0) options.max_connections = 64;
    const result<void> opened = running->open(options);
    INFO(opened.error().text());
    REQUIRE(opened);
    for (std::size_t i = 0; i < listeners; ++i)
      REQUIRE(running->listen(address::loopback(0), small_buffers));
    turn();
  }
  ~house() {
    running.reset();
    CHECK(where.violations() == "");
  }

  /// One turn, and every peer hears what has arrived. The accounts are always exact.
  void turn() {
    REQUIRE(running->turn(where.soon(running->now())) >= 0);
    const loop_counters& counted = running->counters();
    CHECK(counted.accepted == running->open_connections() + counted.closed_total() + counted.shed);
    for (const auto& one : peers)
      if (one) one->listen_in();
  }
  template <class Done>
  bool until(Done done, std::size_t turns = most_turns) {
    for (std::size_t i = 0; i < turns; ++i) {
      if (done()) return true;
      turn();
    }
    return done();
  }
  void rest(int turns = 8) {
    for (int i = 0; i < turns; ++i) turn();
  }

  /// A peer whose connection waits in the kernel.
  client& connect(std::size_t listener = 0) {
    peers.push_back(where.connect(running->listener_at(listener).local()));
    REQUIRE(peers.back());
    return *peers.back();
  }
  /// A peer that was accepted.
  client& enter(std::size_t listener = 0) {
    const std::size_t before = notes().all.size();
    client& made = connect(listener);
    REQUIRE(until([&] { return notes().all.size() > before; }));
    return made;
  }

  /// From here on it sends and receives only when the case says so.
  std::unique_ptr<client> take_away(std::size_t index) { return std::move(peers[index]); }

  note_taker& notes() { return running->handler(); }
  heard& about(std::size_t index) { return notes().all.at(index); }
  connection handle(std::size_t index) { return notes().handles.at(index); }
  const loop_counters& counters() const { return running->counters(); }
  std::uint64_t closed(close_cause cause) const {
    return counters().closed[static_cast<std::size_t>(cause)];
  }

  typename Backend::world where;
  std::vector<std::unique_ptr<client>> peers;
  decltype(Backend::make_loop(note_taker())) running;
};

}  // namespace hinge::test

// Each loop is compiled once, in house.cpp.
#define HINGE_TEST_LOOP(poller) \
  extern template class hinge::loop<hinge::poller, hinge::test::note_taker>;
HINGE_TEST_POLLERS(HINGE_TEST_LOOP)
#undef HINGE_TEST_LOOP
