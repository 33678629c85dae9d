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
#include <time.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "sys.hpp"
#include "uring_accepts.hpp"
#include "uring_parked.hpp"
#include "uring_probe.hpp"
#include "uring_ring.hpp"
#include "uring_token.hpp"

namespace hinge {

namespace {

/// Bits of what the kernel holds for a connection.
namespace holds {
constexpr std::uint8_t receive = 1;  // armed, or parked
constexpr std::uint8_t send = 2;     // and perhaps a close linked behind it
constexpr std::uint8_t under_way = receive | send;
constexpr std::uint8_t detach = 4;  // to be told when nothing is under way
constexpr std::uint8_t parked = 8;
constexpr std::uint8_t poll = 16;      // the receive is a poll first
constexpr std::uint8_t readable = 32;  // a poll has said so: the next receive is a real one
constexpr std::uint8_t again = 64;     // has received before
constexpr std::uint8_t unread = 128;   // the kernel said that more is there, and has not told it
}  // namespace holds

void clear(std::uint8_t& h, unsigned bits) noexcept { h &= static_cast<std::uint8_t>(~bits); }

}  // namespace

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

  result<void> open(const poller_options& wanted) noexcept;
  int start() noexcept;
  bool watch_wake() noexcept;

  /// What the kernel holds for the connection in that slot.
  std::uint8_t& held_by(token subject) noexcept { return held.get()[subject.slot()]; }
  event* apply(const change& wanted, event* out) noexcept;
  int apply(const change& wanted, std::uint8_t& h, event*& out) noexcept;
  int start_receive(const change& wanted, std::uint8_t& h) noexcept;
  int arm_receive(token subject, int fd, std::uint8_t& h) noexcept;
  bool unpark(token subject, std::uint8_t& h) noexcept;
  void serve_parked() noexcept;
  int start_send(const change& wanted, std::uint8_t& h) noexcept;
  bool detach(token subject, std::uint8_t& h) noexcept;

  event* harvest(event* out, std::uint32_t room) noexcept;
  void rouse(const event* first, const event* end) noexcept;
  bool completed(const io_uring_cqe& seen, event& out) noexcept;
  bool received(token subject, const io_uring_cqe& seen, std::uint8_t& h, event& out) noexcept;
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
  if (!held || !parked.open(slots) || !accepts.open(wanted.accepts_per_turn, options.completions))
    return fail("open io_uring", "memory for connections", ENOMEM);
  const int made = sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return fail("eventfd", "0", -made);
  wake.reset(made);
  if (result<void> opened = ring.open(options); !opened) return opened;
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

int uring_poller::state::start() noexcept {
  const int failed = ring.start();
  if (failed < 0) return failed;
  return watch_wake() ? 0 : -EBUSY;
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
  const bool listener = wanted.subject.what() == role::listener;
  int failed = 0;
  switch (wanted.what) {
    case operation::recycle:
      buffers.give(wanted.buffer);
      break;
    case operation::close:
      ring.close(wanted.fd);
      break;
    case operation::accept:
      failed = accepts.start(wanted);
      break;
    case operation::stop_accept:
      failed = accepts.stop(wanted);
      break;
    case operation::receive:
    case operation::stop_receive:
    case operation::send:
      if (wanted.subject.slot() < slots) {
        failed = apply(wanted, held_by(wanted.subject), out);
      } else {
        failed = -ENOSPC;
      }
      break;
    case operation::detach:
      if (listener ? accepts.detach(wanted) : detach(wanted.subject, held_by(wanted.subject)))
        *out++ = {.subject = wanted.subject,
                  .result = detach_result::released,
                  .kind = event_kind::detached};
      break;
  }
  if (failed < 0)
    *out++ = {.subject = wanted.subject,
              .result = failed,
              .buffer = static_cast<std::uint16_t>(wanted.what),
              .kind = event_kind::failed};
  return out;
}

int uring_poller::state::apply(const change& wanted, std::uint8_t& h, event*& out) noexcept {
  if (wanted.what == operation::receive) return start_receive(wanted, h);
  if (wanted.what == operation::send) return start_send(wanted, h);
  if (unpark(wanted.subject, h)) {
    *out++ = {.subject = wanted.subject, .result = -ECANCELED, .kind = event_kind::received};
  } else if ((h & holds::receive) != 0) {
    ring.cancel(request_name(wanted.subject, uring_request::receive));
  }
  return 0;
}

int uring_poller::state::start_receive(const change& wanted, std::uint8_t& h) noexcept {
  if ((h & holds::receive) != 0) return -EEXIST;
  if (buffers.free() != 0) return arm_receive(wanted.subject, wanted.fd, h);
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
    h |= holds::poll;
  } else {
    io_uring_prep_recv(request, fd, nullptr, 0, 0);
    io_uring_sqe_set_flags(request, IOSQE_BUFFER_SELECT);
    request->buf_group = buffer_ring::group;
    if (!polling && (h & holds::again) != 0) request->ioprio |= IORING_RECV_MULTISHOT;
    clear(h, holds::readable);
  }
  ring.name(*request, request_name(subject, uring_request::receive));
  h |= holds::receive;
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

int uring_poller::state::start_send(const change& wanted, std::uint8_t& h) noexcept {
  if ((h & holds::send) != 0) return -EEXIST;
  const bool last = (wanted.flags & change::then_close) != 0;
  if (last && (h & holds::receive) != 0) return -EBUSY;
  if (!ring.reserve(last ? 2 : 1)) return -EBUSY;
  const bool more = last || (wanted.flags & change::more_follows) != 0;
  // The last bytes go now and whole, or the link to the close breaks.
  const int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0) | (last ? MSG_DONTWAIT | MSG_WAITALL : 0);
  io_uring_sqe* const request = ring.next();
  io_uring_prep_send(request, wanted.fd, wanted.data, wanted.length, flags);
  if (last) io_uring_sqe_set_flags(request, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
  ring.name(*request, request_name(wanted.subject, uring_request::send));
  h |= holds::send;
  if (!last) return 0;
  io_uring_sqe* const behind = ring.next();
  io_uring_prep_close(behind, wanted.fd);
  ring.name(*behind, request_name(wanted.subject, uring_request::close));
  return 0;
}

/// True: nothing is under way.
bool uring_poller::state::detach(token subject, std::uint8_t& h) noexcept {
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
  if (std::exchange(any_unread, false)) [[unlikely]]
    rouse(begin, out);
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
      return received(subject, seen, held_by(subject), out);
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
      if ((seen.flags & IORING_CQE_F_MORE) == 0) watch_wake();
      out = {.kind = event_kind::woken};
      return true;
    default:
      return false;
  }
}

bool uring_poller::state::received(token subject, const io_uring_cqe& seen, std::uint8_t& h,
                                   event& out) noexcept {
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
  // The first turn of a loop may only ask for the time, in a thread that isn't the ring's owner.
  const bool first = !std::exchange(s.turned, true);
  if (!s.ring.started() && !(first && changes.empty() && terms.until.is_immediate()))
    if (const int failed = s.start(); failed < 0) return failed;
  for (const change& wanted : changes) out = s.apply(wanted, out);
  s.buffers.publish();
  if (!s.parked.empty()) [[unlikely]]
    s.serve_parked();

  // An answer to each change has its own place.
  const auto room = static_cast<std::uint32_t>(events.size() - changes.size());
  const std::uint32_t accept_room = std::min({terms.accept_room, s.accept_slots, room / 2});
  s.accepts.begin(accept_room);
  const bool ready =
      s.ring.completed() || out != events.data() || (accept_room != 0 && s.accepts.any_held());
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
