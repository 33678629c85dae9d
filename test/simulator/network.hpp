// A network in memory with a clock of its own: the kernel of a simulated process. The library
// reaches it through the table of system calls (system_calls.cpp) and through sim_poller; the
// peers are the test's. What the library must not do is noted as a violation.
#pragma once

#include <hinge/address.hpp>
#include <hinge/time.hpp>

#include "simulator/conditions.hpp"
#include "simulator/random.hpp"
#include "simulator/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hinge::sim {

class peer;

/// What a poller of this network has to answer.
class backend {
public:
  /// An operation of the backend on that descriptor is under way: it must not be closed.
  virtual bool holds(int fd) const = 0;
  /// The library has closed the descriptor.
  virtual void closed(int fd) = 0;
  virtual bool receives_itself() const = 0;
  /// A send of the backend is under way: no other one may pass it.
  virtual bool sends(int fd) const = 0;

protected:
  ~backend() = default;
};

struct listening {
  address at;
  int backlog = 0;
  std::deque<std::shared_ptr<stream>> waiting;
};

/// Lives on one thread. While it lives, the library's system calls on its descriptors, and every
/// new socket, are the network's. One at a time.
class network {
public:
  /// Descriptors start here, so that none is mistaken for a real one; the lowest free is next.
  static constexpr int first_fd = 1 << 24;

  explicit network(random_source from = random_source(1), const conditions& with = {});
  ~network();
  network(const network&) = delete;
  network& operator=(const network&) = delete;
  static network& current() { return *current_; }

  // --- the library's side; results are -errno ------------------------------------------------
  int open_socket();
  int bind(int fd, const address& at);
  int listen(int fd, int backlog);
  int accept(int fd, inet_name& who);
  int receive(int fd, std::span<std::byte> into);
  int send(int fd, std::span<const std::byte> bytes, bool more_follows);
  int shutdown_write(int fd);
  int close(int fd);
  /// Null when the descriptor is none of that kind.
  stream* stream_of(int fd) const;
  listening* listener_of(int fd) const;
  bool is_open(int fd) const;
  static bool owns(int fd) { return fd >= first_fd; }
  std::size_t open_descriptors() const;

  // --- the test's side -----------------------------------------------------------------------
  /// A peer connects; it is empty when nobody listens there or the queue is full.
  peer connect(const address& to);
  /// Accepts fail with `code` until recover(), or `times` times.
  void fail_accepts(int code, std::uint32_t times = ~0U);
  void recover() { fail_accepts(0, 0); }
  /// No more surprises: every probability is 0 from here on, and no episode goes on.
  void calm();

  /// For a backend: whether a change that starts something fails now.
  bool refuses_change() {
    const bool refused = random.chance(with.refuse);
    refused_changes += refused;
    return refused;
  }
  void violation(std::string what) { violations_.push_back(std::move(what)); }
  const std::vector<std::string>& violations() const { return violations_; }
  /// The violations so far were part of the test.
  void forgive() { violations_.clear(); }

  random_source random;
  conditions with;
  instant now = 1'000'000'000;
  backend* poller = nullptr;
  std::uint64_t accept_calls = 0;
  std::uint64_t empty_accepts = 0;    // of these, those that found nobody
  std::uint64_t refused_accepts = 0;  // of these, those that failed for lack of something
  std::uint64_t refused_changes = 0;  // by conditions::refuse
  std::uint64_t lent_buffers = 0;     // received, and not yet recycled
  std::uint64_t receives = 0;         // operation::receive, as the poller was told

private:
  friend class peer;

  struct descriptor {
    bool open = false;
    std::shared_ptr<stream> connection;
    std::shared_ptr<listening> listener;
    address bound;
  };

  int take_descriptor();
  descriptor* find(int fd) const;
  descriptor* find_open(int fd, const char* call);
  int accept_fault(listening& from);
  int receive_nothing(stream& from);
  void close_stream(stream& closing);
  static void lose(stream& lost, int code);

  static network* current_;
  mutable std::vector<descriptor> descriptors_;
  std::vector<std::string> violations_;
  std::uint16_t next_port_ = 7000;
  std::uint32_t connects_ = 0;
  int accept_error_ = 0;
  std::uint32_t accept_errors_left_ = 0;
};

/// The far end of a connection.
class peer {
public:
  peer() = default;
  peer(network& in, std::shared_ptr<stream> connection)
      : network_(&in), stream_(std::move(connection)) {}

  explicit operator bool() const { return stream_ != nullptr; }
  std::uint32_t number() const { return stream_->number; }

  /// As many bytes as fit. A server that has closed answers with a reset.
  std::size_t send(std::span<const std::byte> bytes);
  std::size_t send(std::string_view text) { return send(std::as_bytes(std::span(text))); }
  /// Up to `most` bytes that have arrived.
  std::string receive(std::size_t most = ~std::size_t{0});
  /// Ends its side: FIN.
  void shutdown();
  void reset();
  /// With unread bytes there, a reset.
  void close();

  /// Everything was received, and then the end.
  bool ended() const { return stream_->outgoing.empty() && stream_->end_sent && !was_reset(); }
  bool was_reset() const { return stream_->reset_sent; }
  bool accepted_end() const { return stream_->closed; }
  const stream& state() const { return *stream_; }

private:
  network* network_ = nullptr;
  std::shared_ptr<stream> stream_;
};

}  // namespace hinge::sim
