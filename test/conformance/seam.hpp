// Drives a poller by hand: changes in, events out.
#pragma once

#include <hinge/fd.hpp>
#include <hinge/socket.hpp>

#include "conformance/backends.hpp"

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
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

template <class Backend>
class seam {
public:
  static constexpr poller_options small = {
      .accepts_per_turn = 16, .receive_buffers = 8, .receive_buffer_bytes = 1024};
  static constexpr std::size_t most_turns = 400;

  explicit seam(const poller_options& options = small)
      : door(*listener::open(address::loopback(0))), poller(Backend::make()) {
    REQUIRE(poller->open(options));
    limits = poller->limits();
    turn({}, 2, 0, false);
  }
  ~seam() {
    poller.reset();
    CHECK(where.violations() == "");
  }

  /// One turn; the events are appended to `seen`. What was received is appended to `text`. As a
  /// loop does, it asks again for what has ended and is still wanted: that takes no `room`.
  void turn(std::vector<change> changes = {}, std::size_t room = 64, std::uint32_t accept_room = 16,
            bool wait = true) {
    const std::vector<change> again = ask_again(changes);
    changes.insert(changes.end(), again.begin(), again.end());
    room += again.size();
    std::vector<event> events(room);
    turn_terms terms{.accept_room = accept_room,
                     .until = wait ? where.soon(now) : deadline::immediately(),
                     .now = now};
    const int count = poller->turn(changes, events, terms);
    REQUIRE(count >= 0);
    REQUIRE(static_cast<std::size_t>(count) <= room);
    CHECK(terms.now >= now);
    now = terms.now;
    events.resize(static_cast<std::size_t>(count));
    CHECK(std::count_if(events.begin(), events.end(), [](const event& e) {
            return e.kind == event_kind::accepted && e.result >= 0;
          }) <= accept_room);
    for (const event& e : events) look_at(e);
  }

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
  void rest(std::uint32_t accept_room = 16) {
    for (int i = 0; i < 5; ++i) turn({}, 64, accept_room);
  }

  std::size_t count(event_kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(seen.begin(), seen.end(), [&](const event& e) { return e.kind == kind; }));
  }
  std::size_t count(token subject) const {
    return static_cast<std::size_t>(std::count_if(
        seen.begin(), seen.end(), [&](const event& e) { return e.subject == subject; }));
  }
  std::size_t count(token subject, event_kind kind) const {
    return static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [&](const event& e) {
      return e.subject == subject && e.kind == kind;
    }));
  }
  const event& last(event_kind kind) const {
    const auto found =
        std::find_if(seen.rbegin(), seen.rend(), [&](const event& e) { return e.kind == kind; });
    REQUIRE(found != seen.rend());
    return *found;
  }
  /// Descriptors that were accepted, in order.
  std::vector<int> accepted() const {
    std::vector<int> all;
    for (const event& e : seen)
      if (e.kind == event_kind::accepted && e.result >= 0) all.push_back(e.result);
    return all;
  }

  /// A connection accepted on `door`, which accepts from the first call on.
  accepted_connection connect() {
    if (!accepting_) turn({on_listener(door, operation::accept)}, 64, 16, false);
    accepting_ = true;
    const std::size_t before = accepted().size();
    accepted_connection made;
    made.peer = where.connect(door.local());
    REQUIRE(made.peer);
    REQUIRE(until([&] { return accepted().size() > before; }));
    made.fd = accepted().back();
    made.subject = token(role::connection, connections_++, 1);
    if (!Backend::completes) readable_[made.subject.bits()] = made.fd;
    return made;
  }
  /// The backend has closed it.
  void was_closed(const accepted_connection& one) {
    for (unique_fd& fd : descriptors_)
      if (fd.get() == one.fd) (void)fd.release();
  }
  /// Readiness: from here on nobody receives from it.
  void leave_unread(const accepted_connection& one) { readable_.erase(one.subject.bits()); }
  /// Completion: gives all received buffers back.
  std::vector<change> recycle_all() {
    std::vector<change> changes;
    for (const std::uint16_t buffer : std::exchange(lent, {}))
      changes.push_back({.buffer = buffer, .what = operation::recycle});
    return changes;
  }
  std::string buffer_text(const event& received) const {
    const std::byte* const first =
        limits.buffers + std::size_t{received.buffer} * limits.buffer_stride;
    return {reinterpret_cast<const char*>(first), static_cast<std::size_t>(received.result)};
  }

  // The order is that of destruction, backwards: the poller goes first.
  typename Backend::world where;
  listener door;

private:
  std::vector<unique_fd> descriptors_;  // accepted

public:
  std::vector<event> seen;
  std::map<std::uint64_t, std::string> text;  // by token
  std::vector<std::uint16_t> lent;
  poller_limits limits;
  instant now = 0;
  std::unique_ptr<typename Backend::poller> poller;

private:
  /// Completion: a receive is wanted from `receive` to `stop_receive`, `detach`, or its end.
  std::vector<change> ask_again(const std::vector<change>& changes) {
    for (const change& one : changes) {
      const std::uint64_t bits = one.subject.bits();
      if (one.what == operation::receive) wanted_[bits] = one;
      if (one.what == operation::stop_receive || one.what == operation::detach) wanted_.erase(bits);
      ended_.erase(bits);
    }
    std::vector<change> again;
    for (const std::uint64_t bits : std::exchange(ended_, {}))
      if (wanted_.count(bits) != 0) again.push_back(wanted_[bits]);
    return again;
  }
  void look_at(const event& e) {
    seen.push_back(e);
    if (e.kind == event_kind::received && e.more == 0) {
      if (e.result > 0 || e.result == -ENOBUFS) {
        ended_.insert(e.subject.bits());
      } else {
        wanted_.erase(e.subject.bits());
      }
    }
    if (e.kind == event_kind::accepted && e.result >= 0) descriptors_.emplace_back(e.result);
    if (e.subject != token()) CHECK(gone_.count(e.subject.bits()) == 0);
    if (e.kind == event_kind::detached) gone_.insert(e.subject.bits());
    if (e.kind == event_kind::received && e.buffer != no_buffer) {
      lent.push_back(e.buffer);
      text[e.subject.bits()] += buffer_text(e);
    }
    if (e.kind != event_kind::readable) return;
    const auto fd = readable_.find(e.subject.bits());
    if (fd == readable_.end()) return;
    std::array<std::byte, 4096> room;
    for (int count; (count = sockets::receive(fd->second, room)) > 0;)
      text[e.subject.bits()].append(reinterpret_cast<const char*>(room.data()),
                                    static_cast<std::size_t>(count));
  }

  bool accepting_ = false;
  std::uint32_t connections_ = 0;
  std::set<std::uint64_t> gone_;
  std::map<std::uint64_t, int> readable_;
  std::map<std::uint64_t, change> wanted_;
  std::set<std::uint64_t> ended_;
};

}  // namespace hinge::test
