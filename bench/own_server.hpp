// A server of hinge's own for the load generator, in a thread of this process.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "backend_text.hpp"
#include "cpu_usage.hpp"

namespace hinge::bench {

/// Echoes on a port of 127.0.0.1, from its construction to its end.
class own_server {
public:
  /// For so many clients at a time; `greets`: closes each at once, the answer to a client that has
  /// sent nothing. Throws std::runtime_error with the reason when it can't be had.
  own_server(const backend_list& wanted, std::uint32_t connections, bool greets);
  ~own_server();
  own_server(const own_server&) = delete;
  own_server& operator=(const own_server&) = delete;

  const address& where() const noexcept { return where_; }
  /// true: its thread does nothing until false; returns when that is so.
  void hold(bool held);
  /// What its thread has used; nothing where the system doesn't tell.
  std::optional<cpu_usage> used() const { return usage_of_thread(number_); }
  /// That was opened.
  const any_poller& poller() noexcept { return loop_.poller(); }
  std::string about() { return backend_text(poller().name(), poller().limits()); }

private:
  struct answering {
    bool greets = false;
    void on_accept(connection peer) const noexcept {
      if (greets) peer.close();
    }
    void on_data(connection peer, std::span<std::byte> bytes) const noexcept {
      if (!peer.send(bytes)) peer.abort();
    }
  };

  loop<any_poller, answering> loop_;
  address where_;
  std::atomic<int> number_ = -1;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;  // to be held; under mutex_, as
  bool held_ = false;
  std::thread thread_;
};

}  // namespace hinge::bench
