#include "conformance/seam.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace hinge::test {

int broken_waits::failure = 0;

broken_waits::broken_waits(int code) {
  failure = code;
#ifdef HINGE_HAVE_EPOLL
  sys::current.epoll_wait = [](int, epoll_event*, int, int) noexcept { return -failure; };
#endif
  sys::current.kevent = [](int, const sys::kernel_event*, sys::kernel_count, sys::kernel_event*,
                           sys::kernel_count, const timespec*) noexcept { return -failure; };
}

seam::seam(const tested_backend& on, const poller_options& options)
    : completes_(on.completes),
      world_(on.make_world()),
      where(*world_),
      door(*listener::open(address::loopback(0))),
      poller(on.make_poller()) {
  REQUIRE(poller->open(options));
  limits = poller->limits();
  turn({}, 2, 0, false);
}

seam::~seam() {
  poller.reset();
  CHECK(where.violations() == "");
}

void seam::turn(std::vector<change> changes, std::size_t room, std::uint32_t accept_room,
                bool wait) {
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

void seam::rest(std::uint32_t accept_room) {
  for (int i = 0; i < 5; ++i) turn({}, 64, accept_room);
}

std::size_t seam::count(event_kind kind) const {
  return static_cast<std::size_t>(
      std::count_if(seen.begin(), seen.end(), [&](const event& e) { return e.kind == kind; }));
}

std::size_t seam::count(token subject) const {
  return static_cast<std::size_t>(std::count_if(
      seen.begin(), seen.end(), [&](const event& e) { return e.subject == subject; }));
}

std::size_t seam::count(token subject, event_kind kind) const {
  return static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [&](const event& e) {
    return e.subject == subject && e.kind == kind;
  }));
}

const event& seam::last(event_kind kind) const {
  const auto found =
      std::find_if(seen.rbegin(), seen.rend(), [&](const event& e) { return e.kind == kind; });
  REQUIRE(found != seen.rend());
  return *found;
}

std::vector<int> seam::accepted() const {
  std::vector<int> all;
  for (const event& e : seen)
    if (e.kind == event_kind::accepted && e.result >= 0) all.push_back(e.result);
  return all;
}

accepted_connection seam::connect() {
  if (!accepting_) turn({on_listener(door, operation::accept)}, 64, 16, false);
  accepting_ = true;
  const std::size_t before = accepted().size();
  accepted_connection made;
  made.peer = where.connect(door.local());
  REQUIRE(made.peer);
  REQUIRE(until([&] { return accepted().size() > before; }));
  made.fd = accepted().back();
  made.subject = token(role::connection, connections_++, 1);
  if (!completes_) readable_[made.subject.bits()] = made.fd;
  return made;
}

void seam::was_closed(const accepted_connection& one) {
  for (unique_fd& fd : descriptors_)
    if (fd.get() == one.fd) (void)fd.release();
}

std::vector<change> seam::recycle_all() {
  std::vector<change> changes;
  for (const std::uint16_t buffer : std::exchange(lent, {}))
    changes.push_back({.buffer = buffer, .what = operation::recycle});
  return changes;
}

std::string seam::buffer_text(const event& received) const {
  const std::byte* const first =
      limits.buffers + std::size_t{received.buffer} * limits.buffer_stride;
  return {reinterpret_cast<const char*>(first), static_cast<std::size_t>(received.result)};
}

std::vector<change> seam::ask_again(const std::vector<change>& changes) {
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

void seam::look_at(const event& e) {
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

}  // namespace hinge::test
