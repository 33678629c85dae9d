// Connections that stand beside a load: idle ones, or slow ones of several manners.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "client_sources.hpp"
#include "load.hpp"

namespace hinge::bench {

/// Has its own poller, and while it is kept its own thread. A connection acts ten times a second,
/// as its manner is. When it ends, other than an idle one, another is made in its place.
class bystanders {
public:
  /// Keeps references to both. Throws std::runtime_error.
  bystanders(const load_options& options, const std::atomic<bool>& stop);
  ~bystanders() { finish(); }
  bystanders(const bystanders&) = delete;
  bystanders& operator=(const bystanders&) = delete;

  /// Returns when all have been made, and the idle ones answered; or when there has been no further
  /// one for as long as options.timeout.
  void gather();
  /// From now on they are kept by a thread.
  void keep();
  /// Again is as good as once. After it, found() may be read.
  void finish();
  const bystander_result& found() const noexcept { return found_; }

private:
  struct bystander {
    unique_fd fd;
    manner how = manner::idle;
    bool there = false;
    std::uint32_t generation = 0;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
  };

  bool gathered() const noexcept;
  void start_some();
  void start(std::uint32_t index);
  void act(bystander& one);
  bool send(bystander& one, std::uint64_t length);
  void turn();
  void tick();
  void on_event(const event& seen);
  void read(bystander& one, int cause);
  void arrive(bystander& one) noexcept;
  void end(bystander& one) noexcept;

  const load_options& options_;
  const std::atomic<bool>& stop_;
  client_sources sources_;
  any_poller poller_;
  std::vector<bystander> all_;
  std::vector<change> changes_;
  std::vector<event> events_;
  std::vector<std::byte> buffer_;
  std::uint32_t started_ = 0;  // [0, started_) have been made, once at least
  std::uint32_t there_ = 0;
  std::uint32_t awaited_ = 0;    // idle ones, to be answered
  std::uint32_t allowance_ = 0;  // to be made before the next tick
  std::uint64_t failures_ = 0;   // before they were there
  unsigned ticks_ = 0;
  instant next_tick_ = 0;
  bool kept_ = false;
  std::atomic<bool> over_ = false;
  bystander_result found_;
  std::thread thread_;
};

}  // namespace hinge::bench
