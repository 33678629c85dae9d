#include "uring_connections.hpp"

#include <poll.h>

#include <cerrno>

namespace hinge {

bool uring_connections::stop_receive(token subject) noexcept {
  if (!knows(subject)) return false;
  bits& h = held(subject);
  if (unpark(subject, h)) return true;
  if ((h & holds_receive) != 0) ring_.cancel(request_name(subject, uring_request::receive));
  return false;
}

int uring_connections::poll_first(const change& wanted, bits& h) noexcept {
  io_uring_sqe* const request = ring_.next();
  if (request == nullptr) return -EAGAIN;
  io_uring_prep_poll_add(request, wanted.fd, POLLIN | POLLRDHUP);
  ring_.name(*request, request_name(wanted.subject, uring_request::receive));
  h |= holds_receive | holds_poll;
  return 0;
}

/// Errors are told without being asked for. The peer's end, which may have been there for long,
/// would end a poll for one answer: this one goes on.
int uring_connections::watch(const change& wanted, bits& h) noexcept {
  io_uring_sqe* const request = ring_.next();
  if (request == nullptr) return -EAGAIN;
  io_uring_prep_poll_multishot(request, wanted.fd, POLLRDHUP);
  ring_.name(*request, request_name(wanted.subject, uring_request::receive));
  h |= holds_receive | holds_watch;
  return 0;
}

/// A poll has told; `result` becomes what a receive would have said. False: nothing of interest. A
/// watch goes on: POLLERR may also be about the socket's error queue (time stamps).
bool uring_connections::polled(bits& h, std::int32_t& result, bool more) noexcept {
  const bool watched = (h & holds_watch) != 0;
  if (!more) clear(h, holds_poll | holds_watch);
  if (result < 0 || (h & holds_detach) != 0) return true;
  if (watched) {
    const bool broken = (result & POLLERR) != 0;
    const bool ended = (result & POLLRDHUP) != 0;
    result = broken ? -ECONNRESET : ended ? 0 : -ECANCELED;
    return broken || ended || !more;
  }
  h |= holds_readable;
  result = -ENOBUFS;  // nothing was received yet: ask again
  return true;
}

/// True: it was waiting for a buffer.
bool uring_connections::unpark(token subject, bits& h) noexcept {
  if ((h & holds_parked) == 0) return false;
  parked_.remove(subject);
  clear(h, holds_parked | holds_receive);
  return true;
}

void uring_connections::arm_parked() noexcept {
  for (std::uint32_t left = buffers_.free(); left != 0 && !parked_.empty(); --left) {
    const parked_receives::entry& next = parked_.first();
    bits& h = held(next.subject);
    if (arm({.subject = next.subject, .fd = next.fd, .flags = next.flags}, h) < 0) return;
    clear(h, holds_parked);
    parked_.drop_first();
  }
}

int uring_connections::send(const change& wanted) noexcept {
  if (!knows(wanted.subject)) return -ENOSPC;
  bits& h = held(wanted.subject);
  if ((h & holds_send) != 0) return -EEXIST;
  if (!ring_.reserve(1)) return -EAGAIN;
  h |= holds_send;
  if (wanted.length == 0) return wait_for_room(wanted, h), 0;
  const bool more = (wanted.flags & change::more_follows) != 0;
  io_uring_sqe* const request = send_request(wanted, more ? MSG_MORE : 0);
  ring_.name(*request, request_name(wanted.subject, uring_request::send));
  return 0;
}

/// The kernel ends a poll for one answer, and a send that polls first, also for the peer's FIN and
/// for urgent data, as often as it is asked (Linux 6.18): this one goes on until there is room.
void uring_connections::wait_for_room(const change& wanted, bits& h) noexcept {
  io_uring_sqe* const request = ring_.next();
  io_uring_prep_poll_multishot(request, wanted.fd, POLLOUT);
  ring_.name(*request, request_name(wanted.subject, uring_request::room));
  h |= holds_room;
}

/// It is told when the poll has ended: nothing is to be under way then.
bool uring_connections::has_room(token subject, const io_uring_cqe& seen, event& out) noexcept {
  if ((seen.flags & IORING_CQE_F_MORE) != 0) {
    if ((seen.res & (POLLOUT | POLLERR | POLLHUP)) != 0)
      ring_.cancel(request_name(subject, uring_request::room));
    return false;
  }
  clear(held(subject), holds_room);
  return sent(subject, seen.res >= 0 || seen.res == -ECANCELED ? 0 : seen.res, out);
}

bool uring_connections::detach(token subject) noexcept {
  if (!knows(subject)) return true;
  bits& h = held(subject);
  unpark(subject, h);
  if ((h & under_way) == 0) {
    h = 0;
    return true;
  }
  if ((h & holds_receive) != 0) ring_.cancel(request_name(subject, uring_request::receive));
  if ((h & holds_send) != 0)
    ring_.cancel(
        request_name(subject, (h & holds_room) != 0 ? uring_request::room : uring_request::send));
  h |= holds_detach;
  return false;
}

/// A detach was asked for: true when the last request under way has ended.
bool uring_connections::detached(token subject, bits& h, event& out) noexcept {
  if ((h & under_way) != 0) return false;
  h = 0;
  out = {.subject = subject, .result = detach_result::released, .kind = event_kind::detached};
  return true;
}

/// A receive that goes on has said that more is there, and nothing has followed. It may be about to
/// come; but where a signal was pending it never does: at a mark of urgent data tcp(7) then says
/// EAGAIN (Linux 6.18), and no edge will come. Ended, it is armed again and tries first.
void uring_connections::rouse(const event* first, const event* end) noexcept {
  for (const event* e = first; e != end; ++e) {
    if (e->kind != event_kind::received || e->more == 0) continue;
    bits& h = held(e->subject);
    if ((h & holds_unread) == 0) continue;
    clear(h, holds_unread);
    ring_.cancel(request_name(e->subject, uring_request::receive));
  }
}

}  // namespace hinge
