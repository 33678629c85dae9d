// Layout of a turn: changes become requests, one io_uring_enter(2) submits them and waits, then
// each completion becomes an event. What there is no room for stays in the completion queue, but
// for accepted connections, which are held so that others behind them get through.
//
// For each connection one byte says what the kernel holds; nothing else is kept: names carry slot
// and generation through the kernel, and changes carry the descriptor.

#include <hinge/uring.hpp>

#include <hinge/fd.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "sys.hpp"
#include "uring_accepts.hpp"
#include "uring_holds.hpp"
#include "uring_parked.hpp"
#include "uring_probe.hpp"
#include "uring_ring.hpp"
#include "uring_token.hpp"

namespace hinge {

// Each is called in one place, once for each change or completion.
#define HINGE_HOT [[gnu::always_inline]] inline

struct uring_poller::state {
  state(const uring_options& chosen) noexcept : options(chosen), accepts(ring, chosen.accept_one) {}
  ~state();

  // Both outlive the ring, which writes into the one and polls the other.
  buffer_ring buffers;
  unique_fd wake;
  const uring_options options;
  uring_ring ring;
  uring_accepts accepts;
  parked_receives parked;
  bool any_unread = false;                                                        // in this harvest
  std::unique_ptr<std::uint8_t, decltype(&std::free)> held{nullptr, &std::free};  // by slot
  std::uint32_t slots = 0;
  std::uint32_t accept_slots = 0;
  bool turned = false;
  bool wake_watched = false;

  result<void> open(const poller_options& wanted) noexcept;
  int begin(bool only_asks) noexcept;
  bool watch_wake() noexcept;

  bool knows(token subject) const noexcept { return subject.slot() < slots; }
  /// What the kernel holds for the connection in that slot.
  std::uint8_t& held_by(token subject) noexcept { return held.get()[subject.slot()]; }
  HINGE_HOT event* apply(const change& wanted, event* out) noexcept;
  HINGE_HOT int start_receive(const change& wanted) noexcept;
  event* stop_receive(token subject, event* out) noexcept;
  int start_send(const change& wanted) noexcept;
  HINGE_HOT int start_last_send(const change& wanted) noexcept;
  HINGE_HOT io_uring_sqe* send_request(const change& wanted, int flags) noexcept;
  HINGE_HOT int arm_receive(token subject, int fd, std::uint8_t& h) noexcept;
  bool unpark(token subject, std::uint8_t& h) noexcept;
  void serve_parked() noexcept;
  bool detach(token subject) noexcept;

  event* harvest(event* out, std::uint32_t room) noexcept;
  void rouse(const event* first, const event* end) noexcept;
  HINGE_HOT bool completed(const io_uring_cqe& seen, event& out) noexcept;
  HINGE_HOT bool received(token subject, const io_uring_cqe& seen, event& out) noexcept;
  static bool detached(token subject, std::uint8_t& h, event& out) noexcept;
};

// --- open and close ------------------------------------------------------------------------------

uring_poller::uring_poller(const uring_options& options) noexcept : options_(options) {}
uring_poller::~uring_poller() = default;
uring_poller::uring_poller(uring_poller&&) noexcept = default;
uring_poller& uring_poller::operator=(uring_poller&&) noexcept = default;

result<void> uring_poller::open(const poller_options& options) noexcept {
  if (result<void> usable = uring_verdict(); !usable) return usable;
  return open_untested(options);
}

result<void> uring_poller::open_untested(const poller_options& options) noexcept {
  std::unique_ptr<state> made(new (std::nothrow) state(options_));
  if (!made) return fail("open io_uring", "memory", ENOMEM);
  if (result<void> opened = made->open(options); !opened) return opened;
  state_ = std::move(made);
  return {};
}

result<void> uring_poller::state::open(const poller_options& wanted) noexcept {
  const auto refuse = [](const char* what) { return fail("open io_uring", what, EINVAL); };
  if (wanted.accepts_per_turn == 0 || wanted.accepts_per_turn >= no_buffer)
    return refuse("accepts_per_turn must be from 1 to 65534");
  if (!std::has_single_bit(wanted.receive_buffers) || wanted.receive_buffers > 32768)
    return refuse("receive_buffers must be a power of two, at most 32768");
  if (wanted.receive_buffer_bytes == 0 || wanted.receive_buffer_bytes > 0x4000'0000)
    return refuse("ring_buffer_bytes must be from 1 to 1 GiB");
  if (wanted.connections > token::max_slots) return refuse("connections must be at most 16777216");
  slots = wanted.connections;
  accept_slots = wanted.accepts_per_turn;
  held.reset(static_cast<std::uint8_t*>(std::calloc(slots, 1)));  // touches no page
  if (!held || !parked.open(slots)) return fail("open io_uring", "memory for connections", ENOMEM);
  const int made = sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return fail("eventfd", "0", -made);
  wake.reset(made);
  if (result<void> opened = ring.open(options, 2 * slots + max_listeners); !opened) return opened;
  if (!accepts.open(wanted.accepts_per_turn, ring.raw().cq.ring_entries))
    return fail("open io_uring", "memory for accepted connections", ENOMEM);
  return buffers.open(ring, wanted.receive_buffers, wanted.receive_buffer_bytes);
}

/// Connections that nobody has heard of.
uring_poller::state::~state() {
  if (!ring.is_open()) return;
  unsigned head;
  io_uring_cqe* one;
  io_uring_for_each_cqe(&ring.raw(), head, one) {
    if (request_of(one->user_data) == uring_request::accept && one->res >= 0) sys::close(one->res);
  }
}

/// The first turn of a loop may only ask for the time, in a thread that isn't the ring's owner.
int uring_poller::state::begin(bool only_asks) noexcept {
  if (!std::exchange(turned, true) && only_asks) return 0;
  const int failed = ring.started() ? 0 : ring.start();
  wake_watched = failed == 0 && watch_wake();
  return failed;
}

/// Each write is an edge of its own, so the counter never has to be read.
bool uring_poller::state::watch_wake() noexcept {
  io_uring_sqe* const request = ring.next();
  if (request == nullptr) return false;
  io_uring_prep_poll_multishot(request, wake.get(), POLLIN);
  ring.name(*request, request_name(token(), uring_request::wake));
  return true;
}

void uring_poller::wake() const noexcept {
  const std::uint64_t one = 1;
  sys::write(state_->wake.get(), &one, sizeof one);
}

poller_limits uring_poller::limits() const noexcept {
  const buffer_ring& buffers = state_->buffers;
  return {.buffers = buffers.data(),
          .buffer_stride = buffers.stride(),
          .buffer_count = buffers.count(),
          .peers = state_->accepts.peers()};
}

// --- changes -------------------------------------------------------------------------------------

event* uring_poller::state::apply(const change& wanted, event* out) noexcept {
  int failed = 0;
  switch (wanted.what) {
    case operation::recycle:
      buffers.give(wanted.buffer);
      return out;
    case operation::close:
      ring.close(wanted.fd);
      return out;
    case operation::receive:
      failed = start_receive(wanted);
      break;
    case operation::send:
      failed =
          (wanted.flags & change::then_close) != 0 ? start_last_send(wanted) : start_send(wanted);
      break;
    case operation::stop_receive:
      return stop_receive(wanted.subject, out);
    case operation::accept:
      failed = accepts.start(wanted);
      break;
    case operation::stop_accept:
      failed = accepts.stop(wanted);
      break;
    case operation::detach:
      if (wanted.subject.what() == role::listener ? accepts.detach(wanted) : detach(wanted.subject))
        *out++ = {.subject = wanted.subject,
                  .result = detach_result::released,
                  .kind = event_kind::detached};
      return out;
  }
  if (failed < 0) [[unlikely]]
    *out++ = {.subject = wanted.subject,
              .result = failed,
              .buffer = static_cast<std::uint16_t>(wanted.what),
              .kind = event_kind::failed};
  return out;
}

event* uring_poller::state::stop_receive(token subject, event* out) noexcept {
  if (!knows(subject)) return out;
  std::uint8_t& h = held_by(subject);
  if (unpark(subject, h)) {
    *out++ = {.subject = subject, .result = -ECANCELED, .kind = event_kind::received};
  } else if ((h & holds::receive) != 0) {
    ring.cancel(request_name(subject, uring_request::receive));
  }
  return out;
}

int uring_poller::state::start_receive(const change& wanted) noexcept {
  if (!knows(wanted.subject)) return -ENOSPC;
  std::uint8_t& h = held_by(wanted.subject);
  if ((h & holds::receive) != 0) return -EEXIST;
  if (buffers.free() != 0) [[likely]]
    return arm_receive(wanted.subject, wanted.fd, h);
  parked.add(wanted.subject, wanted.fd);
  h |= holds::receive | holds::parked;
  return 0;
}

int uring_poller::state::arm_receive(token subject, int fd, std::uint8_t& h) noexcept {
  io_uring_sqe* const request = ring.next();
  if (request == nullptr) return -EBUSY;
  const bool polling = options.receive == uring_receive::poll_first;
  if (polling && (h & holds::readable) == 0) {
    io_uring_prep_poll_add(request, fd, POLLIN | POLLRDHUP);
    h |= holds::receive | holds::poll;
  } else {
    io_uring_prep_recv(request, fd, nullptr, 0, 0);
    io_uring_sqe_set_flags(request, IOSQE_BUFFER_SELECT);
    request->buf_group = buffer_ring::group;
    if (!polling && (h & holds::again) != 0) request->ioprio = IORING_RECV_MULTISHOT;
    clear(h, holds::readable);
    h |= holds::receive;
  }
  ring.name(*request, request_name(subject, uring_request::receive));
  return 0;
}

/// True: it was waiting for a buffer.
bool uring_poller::state::unpark(token subject, std::uint8_t& h) noexcept {
  if ((h & holds::parked) == 0) return false;
  parked.remove(subject);
  clear(h, holds::parked | holds::receive);
  return true;
}

void uring_poller::state::serve_parked() noexcept {
  for (std::uint32_t left = buffers.free(); left != 0 && !parked.empty(); --left) {
    const parked_receives::entry next = parked.take();
    std::uint8_t& h = held_by(next.subject);
    if (arm_receive(next.subject, next.fd, h) == 0) {
      clear(h, holds::parked);
    } else {
      parked.add(next.subject, next.fd);
      return;
    }
  }
}

io_uring_sqe* uring_poller::state::send_request(const change& wanted, int flags) noexcept {
  io_uring_sqe* const request = ring.next();
  io_uring_prep_send(request, wanted.fd, wanted.data, wanted.length, MSG_NOSIGNAL | flags);
  return request;
}

int uring_poller::state::start_send(const change& wanted) noexcept {
  if (!knows(wanted.subject)) return -ENOSPC;
  std::uint8_t& h = held_by(wanted.subject);
  if ((h & holds::send) != 0) return -EEXIST;
  if (!ring.reserve(1)) return -EBUSY;
  const bool more = (wanted.flags & change::more_follows) != 0;
  io_uring_sqe* const request = send_request(wanted, more ? MSG_MORE : 0);
  ring.name(*request, request_name(wanted.subject, uring_request::send));
  h |= holds::send;
  return 0;
}

/// The bytes go now and whole, or the link to the close breaks.
int uring_poller::state::start_last_send(const change& wanted) noexcept {
  if (!knows(wanted.subject)) return -ENOSPC;
  std::uint8_t& h = held_by(wanted.subject);
  if ((h & holds::under_way) != 0) return (h & holds::send) != 0 ? -EEXIST : -EBUSY;
  if (!ring.reserve(2)) return -EBUSY;
  io_uring_sqe* const request = send_request(wanted, MSG_MORE | MSG_DONTWAIT | MSG_WAITALL);
  io_uring_sqe_set_flags(request, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
  ring.name(*request, request_name(wanted.subject, uring_request::send));
  h |= holds::send;
  io_uring_sqe* const behind = ring.next();
  io_uring_prep_close(behind, wanted.fd);
  ring.name(*behind, request_name(wanted.subject, uring_request::close));
  ring.expect_linked();
  return 0;
}

/// True: nothing is under way.
bool uring_poller::state::detach(token subject) noexcept {
  if (!knows(subject)) return true;
  std::uint8_t& h = held_by(subject);
  unpark(subject, h);
  if ((h & holds::under_way) == 0) {
    h = 0;
    return true;
  }
  if ((h & holds::receive) != 0) ring.cancel(request_name(subject, uring_request::receive));
  if ((h & holds::send) != 0) ring.cancel(request_name(subject, uring_request::send));
  h |= holds::detach;
  return false;
}

// --- events --------------------------------------------------------------------------------------

event* uring_poller::state::harvest(event* out, std::uint32_t room) noexcept {
  sys::completed(ring.raw());
  event* const begin = out;
  const unsigned first = ring.first_completion();
  const unsigned end = ring.past_completions();
  unsigned at = first;
  for (; at != end; ++at) {
    const io_uring_cqe& one = ring.completion(at);
    if (request_of(one.user_data) == uring_request::accept) {
      const bool more = (one.flags & IORING_CQE_F_MORE) != 0;
      const unsigned told = accepts.completed(subject_of(one.user_data), one.res, more, room, *out);
      if (told == uring_accepts::put_off) break;
      out += told;
    } else {
      if (room == 0) break;
      const bool told = completed(one, *out);
      out += told;
      room -= told;
    }
  }
  ring.pass_completions(at - first);
  if (std::exchange(any_unread, false)) rouse(begin, out);
  return out;
}

/// A receive that goes on has said that more is there, and nothing has followed. It may be about to
/// come; but where a signal was pending it never does: at a mark of urgent data tcp(7) then says
/// EAGAIN (Linux 6.18), and no edge will come. Ended, it is armed again and tries first.
void uring_poller::state::rouse(const event* first, const event* end) noexcept {
  for (const event* e = first; e != end; ++e) {
    if (e->kind != event_kind::received || e->more == 0) continue;
    std::uint8_t& h = held_by(e->subject);
    if ((h & holds::unread) == 0) continue;
    clear(h, holds::unread);
    ring.cancel(request_name(e->subject, uring_request::receive));
  }
}

/// True: it made an event.
bool uring_poller::state::completed(const io_uring_cqe& seen, event& out) noexcept {
  const token subject = subject_of(seen.user_data);
  switch (request_of(seen.user_data)) {
    case uring_request::receive:
      return received(subject, seen, out);
    case uring_request::send:
      clear(held_by(subject), holds::send);
      if (detached(subject, held_by(subject), out)) return true;
      out = {.subject = subject, .result = seen.res, .kind = event_kind::sent};
      return (held_by(subject) & holds::detach) == 0;
    case uring_request::close:
      // After a send that fell short there is none, or one that says ECANCELED.
      if (seen.res == -ECANCELED) return false;
      held_by(subject) = 0;
      out = {.subject = subject, .result = detach_result::closed, .kind = event_kind::detached};
      return true;
    case uring_request::wake:
      if ((seen.flags & IORING_CQE_F_MORE) == 0) wake_watched = watch_wake();
      out = {.kind = event_kind::woken};
      return true;
    default:
      return false;
  }
}

bool uring_poller::state::received(token subject, const io_uring_cqe& seen, event& out) noexcept {
  std::uint8_t& h = held_by(subject);
  const bool more = (seen.flags & IORING_CQE_F_MORE) != 0;
  std::uint16_t buffer = no_buffer;
  std::int32_t result = seen.res;
  clear(h, more ? holds::unread : holds::unread | holds::receive);
  if (more && (seen.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) [[unlikely]] {
    h |= holds::unread;
    any_unread = true;
  }
  if ((seen.flags & IORING_CQE_F_BUFFER) != 0) {
    buffer = static_cast<std::uint16_t>(seen.flags >> IORING_CQE_BUFFER_SHIFT);
    buffers.taken();
    if (result <= 0 || (h & holds::detach) != 0) buffers.give(std::exchange(buffer, no_buffer));
  }
  if ((h & holds::poll) != 0) {
    clear(h, holds::poll);
    if (result >= 0) {
      h |= holds::readable;
      result = -ENOBUFS;  // nothing was received yet: ask again
    }
  }
  if ((h & holds::detach) != 0) return detached(subject, h, out);
  if (result > 0) h |= holds::again;
  if (result <= 0 && result != -ECANCELED && result != -ENOBUFS) clear(h, holds::again);
  out = {.subject = subject,
         .result = result,
         .buffer = buffer,
         .kind = event_kind::received,
         .more = more};
  return true;
}

/// A detach was asked for, and the last request under way has ended.
bool uring_poller::state::detached(token subject, std::uint8_t& h, event& out) noexcept {
  if ((h & holds::detach) == 0 || (h & holds::under_way) != 0) return false;
  h = 0;
  out = {.subject = subject, .result = detach_result::released, .kind = event_kind::detached};
  return true;
}

int uring_poller::turn(std::span<const change> changes, std::span<event> events,
                       turn_terms& terms) noexcept {
  state& s = *state_;
  event* out = events.data();
  if (events.size() < changes.size() + least_event_room) return -EINVAL;
  if (!s.wake_watched) [[unlikely]]
    if (const int failed = s.begin(changes.empty() && terms.until.is_immediate()); failed < 0)
      return failed;
  s.ring.begin();
  for (const change& wanted : changes) out = s.apply(wanted, out);
  s.buffers.publish();
  if (!s.parked.empty()) s.serve_parked();
  // An answer to each change has its own place.
  const auto room = static_cast<std::uint32_t>(events.size() - changes.size());
  const std::uint32_t accept_room = std::min({terms.accept_room, s.accept_slots, room / 2});
  s.accepts.begin(accept_room);
  const bool ready =
      s.ring.hurries() || out != events.data() || (accept_room != 0 && s.accepts.any_held());
  if (s.ring.started() && (!ready || s.ring.unsubmitted()))
    if (const int failed = s.ring.enter(ready ? deadline::immediately() : terms.until); failed < 0)
      return failed;
  terms.now = now();
  if (s.accepts.pending()) [[unlikely]]
    out = s.accepts.tell_held(out);
  out = s.harvest(out, room - accept_room);
  return static_cast<int>(out - events.data());
}

}  // namespace hinge
