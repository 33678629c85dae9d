// Layout of a turn: changes become requests, one io_uring_enter(2) submits them and waits, then
// each completion becomes an event. What there is no room for stays in the completion queue, but
// for accepted connections, which are held so that others behind them get through.

#include <hinge/uring.hpp>

#include <hinge/fd.hpp>

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <utility>

#include "sys.hpp"
#include "uring_accepts.hpp"
#include "uring_connections.hpp"
#include "uring_probe.hpp"
#include "uring_ring.hpp"
#include "uring_token.hpp"

namespace hinge {

struct uring_poller::state {
  state(const uring_options& chosen) noexcept
      : options(chosen), accepts(ring), connections(ring, buffers, chosen.receive) {}
  ~state();

  // Both outlive the ring, which writes into the one and polls the other.
  buffer_ring buffers;
  unique_fd wake;
  const uring_options options;
  uring_ring ring;
  uring_accepts accepts;
  uring_connections connections;
  std::uint32_t accept_slots = 0;
  bool turned = false;
  bool wake_watched = false;

  result<void> open(const poller_options& wanted) noexcept;
  void let_go() noexcept;
  int begin(std::span<const change> changes, deadline until) noexcept;
  int make_ready(bool only_asks) noexcept;
  bool watch_wake() noexcept;
  [[gnu::always_inline]] inline event* apply(const change& wanted, event* out) noexcept;
  event* harvest(event* out, std::uint32_t room) noexcept;
  [[gnu::always_inline]] inline bool completed(const io_uring_cqe& seen, event& out) noexcept;
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

// Of a connection, as long as the submission queue stays full: of its receive when it is roused,
// stopped and detached, of its send, and of the wait for room before that.
constexpr std::uint32_t most_cancels = 5;

result<void> uring_poller::state::open(const poller_options& wanted) noexcept {
  const auto refuse = [](const char* what) { return fail("open io_uring", what, EINVAL); };
  if (wanted.accepts_per_turn == 0 || wanted.accepts_per_turn >= no_buffer)
    return refuse("accepts_per_turn must be from 1 to 65534");
  if (!std::has_single_bit(wanted.receive_buffers) || wanted.receive_buffers > 32768)
    return refuse("receive_buffers must be a power of two, at most 32768");
  if (wanted.receive_buffer_bytes == 0 || wanted.receive_buffer_bytes > 0x4000'0000)
    return refuse("receive_buffer_bytes must be from 1 to 1 GiB");
  if (wanted.connections == 0) return refuse("connections must not be 0");
  if (wanted.connections > token::max_slots) return refuse("connections must be at most 16777216");
  if (wanted.accepting == accept_sharing::exclusive)
    return fail("open io_uring", "accept_sharing::exclusive is for readiness backends", EOPNOTSUPP);
  accept_slots = wanted.accepts_per_turn;
  if (!connections.open(wanted.connections))
    return fail("open io_uring", "memory for connections", ENOMEM);
  const int made = sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return fail("eventfd", "0", -made);
  wake.reset(made);
  if (result<void> had = buffers.open(wanted.receive_buffers, wanted.receive_buffer_bytes); !had)
    return had;
  if (result<void> opened =
          ring.open(options, most_cancels * wanted.connections + max_listeners, buffers);
      !opened)
    return opened;
  if (!accepts.open(wanted, ring.raw().cq.ring_entries))
    return fail("open io_uring", "memory for accepted connections", ENOMEM);
  return {};
}

uring_poller::state::~state() { let_go(); }

/// Ends all requests, and closes connections that nobody has heard of.
void uring_poller::state::let_go() noexcept {
  accepts.close_held();
  if (!ring.is_open()) return;
  do {
    const unsigned first = ring.first_completion();
    const unsigned past = ring.past_completions();
    for (unsigned at = first; at != past; ++at) {
      const io_uring_cqe& one = ring.completion(at);
      if (request_of(one.user_data) == uring_request::accept && one.res >= 0) sys::close(one.res);
    }
    ring.pass_completions(past - first);
  } while (ring.fetch_overflown());
  ring.close();
  wake_watched = false;
}

/// A turn that can't be taken closes what was to be closed in it: nobody else does any more.
int uring_poller::state::begin(std::span<const change> changes, deadline until) noexcept {
  const int failed = make_ready(changes.empty() && until.is_immediate());
  if (failed < 0)
    for (const change& wanted : changes)
      if (wanted.what == operation::close || (wanted.flags & change::then_close) != 0)
        sys::close(wanted.fd);
  return failed;
}

/// The first turn of a loop may only ask for the time, in a thread that isn't the ring's owner.
int uring_poller::state::make_ready(bool only_asks) noexcept {
  if (!ring.is_open()) return -EBADF;  // it has broken
  if (ring.started() && ring.foreign()) return -EEXIST;
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
  const sys::errno_kept by_a_signal_handler;
  const std::uint64_t one = 1;
  sys::write(state_->wake.get(), &one, sizeof one);
}

poller_limits uring_poller::limits() const noexcept {
  const buffer_ring& buffers = state_->buffers;
  const io_uring& ring = state_->ring.raw();
  return {.buffers = buffers.data(),
          .buffer_stride = buffers.stride(),
          .buffer_count = buffers.count(),
          .peers = state_->accepts.peers(),
          .requests = ring.sq.ring_entries,
          .completions = ring.cq.ring_entries,
          .setup_flags = ring.flags};
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
      failed = connections.receive(wanted);
      break;
    case operation::send:
      failed = (wanted.flags & change::then_close) != 0 ? connections.send_last(wanted)
                                                        : connections.send(wanted);
      break;
    case operation::stop_receive:
      if (connections.stop_receive(wanted.subject))
        *out++ = {.subject = wanted.subject, .result = -ECANCELED, .kind = event_kind::received};
      return out;
    case operation::accept:
      failed = accepts.start(wanted);
      break;
    case operation::stop_accept:
      failed = accepts.stop(wanted);
      break;
    case operation::detach:
      if (wanted.subject.what() == role::listener ? accepts.detach(wanted)
                                                  : connections.detach(wanted.subject))
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

// --- events --------------------------------------------------------------------------------------

event* uring_poller::state::harvest(event* out, std::uint32_t room) noexcept {
  sys::completed(ring.raw());
  event* const told_first = out;
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
  connections.harvested(told_first, out);
  return out;
}

/// True: it made an event.
bool uring_poller::state::completed(const io_uring_cqe& seen, event& out) noexcept {
  const token subject = subject_of(seen.user_data);
  switch (request_of(seen.user_data)) {
    case uring_request::receive:
      return connections.received(subject, seen, out);
    case uring_request::send:
      return connections.sent(subject, seen.res, out);
    case uring_request::room:
      return connections.has_room(subject, seen, out);
    case uring_request::close:
      return connections.closed(subject, seen.res, out);
    case uring_request::wake:
      if ((seen.flags & IORING_CQE_F_MORE) == 0) wake_watched = watch_wake();
      out = {.kind = event_kind::woken};
      return true;
    default:
      return false;
  }
}

int uring_poller::turn(std::span<const change> changes, std::span<event> events,
                       turn_terms& terms) noexcept {
  state& s = *state_;
  event* out = events.data();
  if (events.size() < changes.size() + least_event_room) return -EINVAL;
  if (!s.wake_watched || s.ring.foreign()) [[unlikely]]
    if (const int failed = s.begin(changes, terms.until); failed < 0) return failed;
  s.ring.begin();
  for (const change& wanted : changes) out = s.apply(wanted, out);
  s.buffers.publish();
  s.connections.serve_parked();
  // An answer to each change has its own place.
  const auto room = static_cast<std::uint32_t>(events.size() - changes.size());
  const std::uint32_t accept_room = std::min({terms.accept_room, s.accept_slots, room / 2});
  s.accepts.begin(accept_room);
  const bool ready =
      s.ring.hurries() || out != events.data() || (accept_room != 0 && s.accepts.any_held());
  if (s.ring.started() && (!ready || s.ring.unsubmitted())) {
    const int failed = s.ring.enter(ready ? deadline::immediately() : terms.until);
    if (failed < 0) [[unlikely]] {
      // Its accepts would take connections that nobody hears of any more.
      s.let_go();
      return failed;
    }
  }
  terms.now = now();
  std::uint32_t taken = accept_room;
  if (s.accepts.pending()) [[unlikely]] {
    const uring_accepts::told held = s.accepts.tell_held(out, room - taken);
    out = held.end;
    taken = room - held.spare;
  }
  out = s.harvest(out, room - taken);
  return static_cast<int>(out - events.data());
}

}  // namespace hinge
