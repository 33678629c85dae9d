// Drives a poller by hand: changes in, events out.
#pragma once

#include <hinge/fd.hpp>
#include <hinge/socket.hpp>

#include "conformance/backends.hpp"
#include "sys.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hinge::test {

/// A connection that the seam has accepted, and its peer.
struct accepted_connection {
  token subject;
  int fd;
  std::unique_ptr<client> peer;

  change receive(std::uint8_t flags = 0) const {
    return {.subject = subject, .fd = fd, .flags = flags};
  }
  change detach() const { return {.subject = subject, .fd = fd, .what = operation::detach}; }
  change send(std::string_view bytes, std::uint8_t flags = 0) const {
    return {.subject = subject,
            .data = reinterpret_cast<const std::byte*>(bytes.data()),
            .length = static_cast<std::uint32_t>(bytes.size()),
            .fd = fd,
            .what = operation::send,
            .flags = flags};
  }
};

inline change on_listener(const listener& at, operation what, std::uint32_t slot = 0,
                          std::uint32_t generation = 0) {
  return {.subject = token(role::listener, slot, generation), .fd = at.fd(), .what = what};
}

/// While it lives the call that a readiness backend waits in fails, and does nothing.
class broken_waits {
public:
  explicit broken_waits(int code);
  ~broken_waits() { sys::current = before_; }
  broken_waits(const broken_waits&) = delete;
  broken_waits& operator=(const broken_waits&) = delete;

private:
  static int failure;
  const sys::call_table before_ = sys::current;
};

class seam {
public:
  static constexpr poller_options small = {
      .accepts_per_turn = 16, .receive_buffers = 8, .receive_buffer_bytes = 1024};
  static constexpr std::size_t most_turns = 400;

  explicit seam(const tested_backend& on, const poller_options& options = small);
  ~seam();

  /// One turn; the events are appended to `seen`. What was received is appended to `text`. As a
  /// loop does, it asks again for what has ended and is still wanted: that takes no `room`.
  void turn(std::vector<change> changes = {}, std::size_t room = 64, std::uint32_t accept_room = 16,
            bool wait = true);

  /// Turns until `done`; false when that takes too many.
  template <class Done>
  bool until(Done done, std::size_t room = 64, std::uint32_t accept_room = 16) {
    for (std::size_t i = 0; i < most_turns; ++i) {
      if (done()) return true;
      turn({}, room, accept_room);
    }
    return done();
  }
  /// A few turns, in which nothing is expected to happen any more.
  void rest(std::uint32_t accept_room = 16);

  std::size_t count(event_kind kind) const;
  std::size_t count(token subject) const;
  std::size_t count(token subject, event_kind kind) const;
  const event& last(event_kind kind) const;
  /// Descriptors that were accepted, in order.
  std::vector<int> accepted() const;

  /// A connection accepted on `door`, which accepts from the first call on.
  accepted_connection connect();
  /// The backend has closed it.
  void was_closed(const accepted_connection& one);
  /// Readiness: from here on nobody receives from it.
  void leave_unread(const accepted_connection& one) { readable_.erase(one.subject.bits()); }
  /// Completion: gives all received buffers back.
  std::vector<change> recycle_all();
  std::string buffer_text(const event& received) const;

private:
  // The order is that of destruction, backwards: the poller goes first.
  const bool completes_;
  std::unique_ptr<world> world_;

public:
  world& where;
  listener door;

private:
  std::vector<unique_fd> descriptors_;  // accepted

public:
  std::vector<event> seen;
  std::map<std::uint64_t, std::string> text;  // by token
  std::vector<std::uint16_t> lent;
  poller_limits limits;
  instant now = 0;
  std::unique_ptr<tested_poller> poller;

private:
  /// Completion: a receive is wanted from `receive` to `stop_receive`, `detach`, or its end.
  std::vector<change> ask_again(const std::vector<change>& changes);
  void look_at(const event& e);

  bool accepting_ = false;
  std::uint32_t connections_ = 0;
  std::set<std::uint64_t> gone_;
  std::map<std::uint64_t, int> readable_;
  std::map<std::uint64_t, change> wanted_;
  std::set<std::uint64_t> ended_;
};

}  // namespace hinge::test
