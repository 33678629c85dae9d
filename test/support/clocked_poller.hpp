// A completion backend in virtual time that says what it is told to say: waits take as long as the
// test wants, and so does a handler's work.
#pragma once

#include <hinge/loop.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace hinge::test {

class clocked_poller {
public:
  /// The one clock; work moves it, too.
  static inline instant clock = 0;
  static instant read_clock() noexcept { return clock; }

  struct scripted_turn {
    nanoseconds wait{};
    std::vector<event> events = {};
  };

  result<void> open(const poller_options&) noexcept { return {}; }
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) noexcept {
    int count = 0;
    for (const change& one : changes) {
      if (one.what == operation::detach)
        events[count++] = {.subject = one.subject, .kind = event_kind::detached};
      if (one.what == operation::close) sockets::close(one.fd);
    }
    until = terms.until;
    if (!script.empty()) {
      clock += script.front().wait.count();
      for (const event& one : script.front().events) events[count++] = one;
      script.pop_front();
    }
    terms.now = clock;
    return count;
  }
  void wake() const noexcept {}
  static constexpr std::string_view name() noexcept { return "clocked"; }
  poller_limits limits() const noexcept {
    return {.buffers = buffer_, .buffer_stride = 1, .buffer_count = 1, .peers = &peer_};
  }
  static constexpr bool completes() noexcept { return true; }

  std::deque<scripted_turn> script;
  deadline until = deadline::never();  // of the last turn

private:
  mutable std::byte buffer_[1]{};
  inet_name peer_{};
};

/// Each accepted connection is worked on, and then closed.
struct worker {
  std::function<void(connection)> work = [](connection) {};

  void on_accept(connection peer) { work(peer), peer.close(); }
  void on_data(connection, std::span<std::byte>) {}
};

}  // namespace hinge::test
