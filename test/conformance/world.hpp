// Where a conformance case takes place: real loopback sockets, or a simulated network. A case is
// written once against this and runs in both.
#pragma once

#include <hinge/listener.hpp>
#include <hinge/time.hpp>

#include "simulator/call_hooks.hpp"
#include "simulator/network.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hinge::test {

/// A peer; nothing here waits.
class client {
public:
  virtual ~client() = default;
  /// Sends what the system takes of `bytes`; returns how many.
  virtual std::size_t send(std::string_view bytes) = 0;
  /// Receives what has arrived.
  virtual void listen_in() = 0;
  virtual void shutdown() = 0;
  /// A byte of urgent data, where the world has that.
  virtual void send_urgent() {}
  /// What has arrived is acknowledged now, and not with the next bytes.
  virtual void acknowledge() {}
  virtual void reset() = 0;
  virtual void close() = 0;

  /// All that listen_in() has received.
  const std::string& received() const { return received_; }
  /// The server's end was read.
  bool ended() const { return ended_; }
  bool was_reset() const { return reset_; }

protected:
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

/// A peer over loopback TCP with small buffers; null when it is refused. The calls are the
/// system's own: no hook sees them.
std::unique_ptr<client> connect_client(const address& to);

class world {
public:
  virtual ~world() = default;

  /// Whether its backends can be used here, or why not.
  static result<void> usable() { return {}; }
  /// Whether a backend may have accepted a connection before it is told to stop.
  virtual bool takes_ahead() const { return false; }
  /// Time passes in turns alone.
  virtual bool has_virtual_time() const { return false; }

  /// Null when the connection is refused.
  virtual std::unique_ptr<client> connect(const address& to) = 0;
  /// A moment after `now`, long enough for what is under way to arrive.
  virtual deadline soon(instant now) const = 0;
  /// As long a time as a case can wait for nothing to happen: an hour, or a moment.
  virtual deadline late(instant now) const = 0;
  /// From here on connections take as much as the world can give them.
  virtual void widen() {}
  /// From here on this process gets no new descriptor, but for those that it closes.
  virtual void exhaust_descriptors() = 0;
  virtual void restore_descriptors() = 0;
  /// The next accepts fail with that errno, once per listener.
  virtual void fail_next_accept(int code) = 0;

  /// Accepts that the backend has tried; of these, those that found nobody waiting.
  virtual std::uint64_t accepts() const = 0;
  virtual std::uint64_t empty_accepts() const = 0;
  /// Times that a connection was registered with the kernel, or its registration changed.
  virtual std::uint64_t registrations() const = 0;
  /// Whether the last bytes to a peer left together with the end. `fd` is the server's.
  virtual bool end_was_joined(const client& with, int fd) const = 0;
  virtual bool is_open(int fd) const = 0;
  /// Open, of this process, non-blocking, and closed on exec.
  virtual bool is_as_accepted(int fd) const { return is_open(fd); }
  /// What was done that must not be done, or nothing.
  virtual std::string violations() const { return {}; }
  /// The violations so far are what the case is about.
  virtual void forgive() {}

  call_hooks& calls() { return calls_; }
  const call_hooks& calls() const { return calls_; }

protected:
  explicit world(call_hooks::decision decide = {}) : calls_(std::move(decide)) {}

private:
  call_hooks calls_;
};

/// Loopback TCP.
class real_world : public world {
public:
  real_world();
  ~real_world() override;
  std::unique_ptr<client> connect(const address& to) override;
  deadline soon(instant now) const override;
  deadline late(instant now) const override;
  void exhaust_descriptors() override;
  void restore_descriptors() override;
  void fail_next_accept(int code) override { accept_failure_ = code; }
  std::uint64_t accepts() const override { return calls().count(call_that_accepts); }
  std::uint64_t empty_accepts() const override;
  std::uint64_t registrations() const override;
  bool end_was_joined(const client& with, int fd) const override;
  bool is_open(int fd) const override;
  bool is_as_accepted(int fd) const override;

protected:
  /// Sets the process's limit; returns the one before.
  static std::uint64_t limit_descriptors(std::uint64_t set = 0);

private:
  std::uint64_t limit_before_;
  int accept_failure_ = 0;
};

namespace detail {
struct holds_network {
  sim::network network;
};
}  // namespace detail

/// sim::network without surprises.
class simulated_world : private detail::holds_network, public world {
public:
  bool has_virtual_time() const override { return true; }
  std::unique_ptr<client> connect(const address& to) override;
  deadline soon(instant now) const override;
  deadline late(instant now) const override;
  void widen() override { network.with.send_buffer_bytes = 4 * 1024 * 1024; }
  void exhaust_descriptors() override;
  void restore_descriptors() override;
  void fail_next_accept(int code) override { network.fail_accepts(code, 1); }
  std::uint64_t accepts() const override { return network.accept_calls; }
  std::uint64_t empty_accepts() const override { return network.empty_accepts; }
  std::uint64_t registrations() const override { return network.receives; }
  bool end_was_joined(const client& with, int fd) const override;
  bool is_open(int fd) const override { return network.is_open(fd); }
  std::string violations() const override;
  void forgive() override { network.forgive(); }
};

}  // namespace hinge::test
