// A handler that notes everything it hears, and does what a case says.
#pragma once

#include <hinge/close_cause.hpp>
#include <hinge/connection.hpp>
#include <hinge/time.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
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
  std::vector<nanoseconds> half_closed = {};  // the ages that it was told
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
  std::function<exhaustion(std::size_t)> exhausted = {};
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
  void on_half_closed(connection c, nanoseconds age);
  void on_listener_error(std::size_t listener, int code);
  exhaustion on_exhausted(std::size_t listener);
  void on_listener_recovered(std::size_t listener, const door_episode& episode);

  script does;
  std::vector<heard> all;
  std::vector<connection> handles;
  std::vector<std::pair<std::size_t, int>> errors;
  std::vector<std::pair<std::size_t, door_episode>> recovered;

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

}  // namespace hinge::test
