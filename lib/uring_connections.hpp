// The connections of the io_uring backend: what the kernel holds of each, in two bytes a slot.
// Nothing else is kept: names carry slot and generation through the kernel, and changes carry the
// descriptor.
#pragma once

#include <hinge/event.hpp>
#include <hinge/uring.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "uring_parked.hpp"
#include "uring_ring.hpp"
#include "uring_token.hpp"

namespace hinge {

// What is always inlined here is called in one place, once for each change or completion.
class uring_connections {
public:
  uring_connections(uring_ring& ring, buffer_ring& buffers, uring_receive how) noexcept
      : ring_(ring), buffers_(buffers), polls_(how == uring_receive::poll_first) {}
  uring_connections(const uring_connections&) = delete;
  uring_connections& operator=(const uring_connections&) = delete;

  /// Room for connections in slots below `slots`. False: no memory.
  bool open(std::uint32_t slots) noexcept {
    slots_ = slots;
    held_.reset(static_cast<bits*>(std::calloc(slots, sizeof(bits))));  // touches no page
    return held_ && parked_.open(slots);
  }

  // --- changes: 0 or -errno ------------------------------------------------------------------
  [[gnu::always_inline]] int receive(const change& wanted) noexcept {
    if (!knows(wanted.subject)) return -ENOSPC;
    bits& h = held(wanted.subject);
    if ((h & holds_receive) != 0) return -EEXIST;
    if ((wanted.flags & change::watch) != 0) return watch(wanted, h);
    if (buffers_.free() != 0) [[likely]]
      return arm(wanted, h);
    parked_.add({wanted.subject, wanted.fd, wanted.flags});
    h |= holds_receive | holds_parked;
    return 0;
  }
  /// True: it has ended at once, and nobody else will tell.
  bool stop_receive(token subject) noexcept;
  int send(const change& wanted) noexcept;
  /// The bytes go now and whole, or the link to the close breaks.
  [[gnu::always_inline]] int send_last(const change& wanted) noexcept {
    if (!knows(wanted.subject)) return -ENOSPC;
    bits& h = held(wanted.subject);
    if ((h & under_way) != 0) return (h & holds_send) != 0 ? -EEXIST : -EBUSY;
    if (!ring_.reserve(2)) return -EAGAIN;
    io_uring_sqe* const request = send_request(wanted, MSG_MORE | MSG_DONTWAIT | MSG_WAITALL);
    io_uring_sqe_set_flags(request, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
    ring_.name(*request, request_name(wanted.subject, uring_request::send));
    h |= holds_send;
    io_uring_sqe* const behind = ring_.next();
    io_uring_prep_close(behind, wanted.fd);
    ring_.name(*behind, request_name(wanted.subject, uring_request::close));
    ring_.expect_linked();
    return 0;
  }
  /// True: nothing is under way.
  bool detach(token subject) noexcept;
  /// When the turn's buffers have come back.
  void serve_parked() noexcept {
    if (!parked_.empty()) [[unlikely]]
      arm_parked();
  }

  // --- completions: true when `out` is an event -----------------------------------------------
  [[gnu::always_inline]] bool received(token subject, const io_uring_cqe& seen,
                                       event& out) noexcept {
    bits& h = held(subject);
    const bool more = (seen.flags & IORING_CQE_F_MORE) != 0;
    std::uint16_t buffer = no_buffer;
    std::int32_t result = seen.res;
    clear(h, more ? holds_unread : holds_unread | holds_receive);
    if (more && (seen.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) [[unlikely]] {
      h |= holds_unread;
      any_unread_ = true;
    }
    if ((seen.flags & IORING_CQE_F_BUFFER) != 0) {
      buffer = static_cast<std::uint16_t>(seen.flags >> IORING_CQE_BUFFER_SHIFT);
      buffers_.taken();
      if (result <= 0 || (h & holds_detach) != 0) buffers_.give(std::exchange(buffer, no_buffer));
    }
    if ((h & (holds_poll | holds_watch)) != 0 && !polled(h, result, more)) return false;
    if ((h & holds_detach) != 0) return detached(subject, h, out);
    out = {.subject = subject,
           .result = result,
           .buffer = buffer,
           .kind = event_kind::received,
           .more = more};
    return true;
  }
  [[gnu::always_inline]] bool sent(token subject, std::int32_t result, event& out) noexcept {
    bits& h = held(subject);
    clear(h, holds_send);
    if ((h & holds_detach) != 0) return detached(subject, h, out);
    out = {.subject = subject, .result = result, .kind = event_kind::sent};
    return true;
  }
  bool has_room(token subject, const io_uring_cqe& seen, event& out) noexcept;
  [[gnu::always_inline]] bool closed(token subject, std::int32_t result, event& out) noexcept {
    // After a send that fell short there is none, or one that says ECANCELED.
    if (result == -ECANCELED) return false;
    held(subject) = 0;
    out = {.subject = subject, .result = detach_result::closed, .kind = event_kind::detached};
    return true;
  }
  /// When a harvest is over whose events are those.
  void harvested(const event* first, const event* end) noexcept {
    if (std::exchange(any_unread_, false)) rouse(first, end);
  }

private:
  using bits = std::uint16_t;

  // Bits of what the kernel holds of a connection.
  static constexpr bits holds_receive = 1;  // armed, or parked
  static constexpr bits holds_send = 2;     // and perhaps a close linked behind it
  static constexpr bits under_way = holds_receive | holds_send;
  static constexpr bits holds_detach = 4;  // to be told when nothing is under way
  static constexpr bits holds_parked = 8;
  static constexpr bits holds_poll = 16;  // the receive is a poll first
  // A poll has said so, and the next receive is a real one. May outlive its connection: then the
  // first of the slot's next one is real, too.
  static constexpr bits holds_readable = 32;
  static constexpr bits holds_watch = 64;    // the receive is a poll for an end or an error
  static constexpr bits holds_unread = 128;  // more is there, as the kernel said, and no more
  static constexpr bits holds_room = 256;    // the send is a poll for room

  static void clear(bits& h, unsigned which) noexcept { h &= static_cast<bits>(~which); }
  bool knows(token subject) const noexcept { return subject.slot() < slots_; }
  bits& held(token subject) noexcept { return held_.get()[subject.slot()]; }

  /// For one answer when that is all that is wanted, so that nothing has to be cancelled; else for
  /// as many as come.
  [[gnu::always_inline]] int arm(const change& wanted, bits& h) noexcept {
    if (polls_ && (h & holds_readable) == 0) return poll_first(wanted, h);
    io_uring_sqe* const request = ring_.next();
    if (request == nullptr) return -EAGAIN;
    io_uring_prep_recv(request, wanted.fd, nullptr, 0, 0);
    io_uring_sqe_set_flags(request, IOSQE_BUFFER_SELECT);
    request->buf_group = buffer_ring::group;
    const bool goes_on = (wanted.flags & change::once) == 0 && !polls_;
    request->ioprio = goes_on ? IORING_RECV_MULTISHOT : 0;
    clear(h, holds_readable);
    h |= holds_receive;
    ring_.name(*request, request_name(wanted.subject, uring_request::receive));
    return 0;
  }
  [[gnu::always_inline]] io_uring_sqe* send_request(const change& wanted, int flags) noexcept {
    io_uring_sqe* const request = ring_.next();
    io_uring_prep_send(request, wanted.fd, wanted.data, wanted.length, MSG_NOSIGNAL | flags);
    return request;
  }
  int poll_first(const change& wanted, bits& h) noexcept;
  int watch(const change& wanted, bits& h) noexcept;
  void wait_for_room(const change& wanted, bits& h) noexcept;
  bool polled(bits& h, std::int32_t& result, bool more) noexcept;
  bool unpark(token subject, bits& h) noexcept;
  void arm_parked() noexcept;
  bool detached(token subject, bits& h, event& out) noexcept;
  void rouse(const event* first, const event* end) noexcept;

  uring_ring& ring_;
  buffer_ring& buffers_;
  const bool polls_;
  bool any_unread_ = false;  // in this harvest
  std::uint32_t slots_ = 0;
  std::unique_ptr<bits, decltype(&std::free)> held_{nullptr, &std::free};  // by slot
  parked_receives parked_;
};

}  // namespace hinge
