// Layout of a turn: changes first, then one epoll_wait, then each kernel event becomes one event,
// or, for a listener, as many accepted connections as its policy takes.
//
// Room: a turn has room for events.size() events. The answers to changes come first. Of what is
// left, a share is kept back for accepted connections, so that epoll_wait can't fill everything
// with reads.

#include <hinge/epoll.hpp>

#include <hinge/accept_error.hpp>
#include <hinge/fd.hpp>

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <utility>

#include "peer_name.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::uint32_t most_kernel_events = 512;
// Connections come at once when the listener is reported again within this time for each that the
// turn before accepted. A loop that needs longer gains nothing from asking how many wait.
constexpr instant at_once_ns = 50'000;
constexpr std::uint32_t longest_probe_interval = 256;
constexpr std::uint32_t connection_events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct accept_source {
  token subject;
  int fd = -1;
  bool armed = false;
  bool countable = true;          // TCP_INFO tells how many wait
  std::uint64_t served_turn = 0;  // the last turn that accepted here
  std::uint32_t streak = 0;       // reports in a row that came at once
  std::uint32_t probe_interval = 1;
};

/// Connections that wait in the queue of a listening TCP socket, or -errno.
int waiting_on(int fd) noexcept {
  tcp_info info;
  socklen_t length = offsetof(tcp_info, tcpi_unacked) + sizeof info.tcpi_unacked;
  const int failed = sys::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return failed < 0 ? failed : static_cast<int>(info.tcpi_unacked);
}

/// The kernel's bits as ours, without a branch.
constexpr std::int32_t hints_of(std::uint32_t bits) noexcept {
  static_assert(EPOLLIN == 1 && EPOLLPRI == 2 && EPOLLOUT == 4 && EPOLLERR == 8);
  static_assert(EPOLLHUP == 0x10 && EPOLLRDHUP == 0x2000);
  const std::uint32_t end = (bits >> 4 | bits >> 13) & 1;
  return static_cast<std::int32_t>((bits & EPOLLIN) | (bits & EPOLLPRI) << 3 |
                                   (bits & EPOLLOUT) >> 1 | end << 2 | (bits & EPOLLERR));
}
static_assert(hints_of(EPOLLIN | EPOLLRDHUP) == (readiness::in | readiness::end));
static_assert(hints_of(EPOLLPRI | EPOLLOUT) == (readiness::urgent | readiness::out));
static_assert(hints_of(EPOLLOUT | EPOLLERR | EPOLLHUP) ==
              (readiness::out | readiness::error | readiness::end));

}  // namespace

struct epoll_poller::state {
  unique_fd epoll;
  unique_fd wake;
  std::uint64_t turn = 0;
  std::uint32_t accepted = 1;  // one more than the last turn that had any
  std::uint32_t accept_slots = 0;
  unsigned first_source = 0;  // whose turn it is when there is not room for all
  std::unique_ptr<inet_name[]> peers;
  std::array<accept_source, max_listeners> sources;
  std::array<epoll_event, most_kernel_events> ready;

  event* apply(const change& wanted, event* out) noexcept;
  int start_accepting(const change& wanted) noexcept;
  void stop_accepting(accept_source& source) noexcept;
  std::uint32_t probe(accept_source& source) noexcept;
  bool accept_failed(accept_source& source, int code, event*& out) noexcept;
  event* serve(accept_source& source, instant since_last, std::uint32_t room, event* out,
               std::uint32_t& used) noexcept;
  event* serve_several(std::span<const epoll_event> from, instant since_last, std::uint32_t room,
                       event* out, std::uint32_t& used) noexcept;
};

static_assert(epoll_poller::max_listeners <= 64, "reported listeners are the bits of one word");

epoll_poller::epoll_poller() noexcept = default;
epoll_poller::~epoll_poller() = default;

result<void> epoll_poller::open(const poller_options& options) noexcept {
  if (options.accepts_per_turn == 0 || options.accepts_per_turn >= no_buffer)
    return fail("open epoll", "accepts_per_turn must be from 1 to 65534", EINVAL);
  std::unique_ptr<state> made(new (std::nothrow) state);
  if (!made) return fail("open epoll", "memory for events", ENOMEM);
  made->accept_slots = options.accepts_per_turn;
  made->peers.reset(new (std::nothrow) inet_name[options.accepts_per_turn]);
  if (!made->peers) return fail("open epoll", "memory for peers", ENOMEM);

  const int epoll = sys::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return fail("epoll_create1", "EPOLL_CLOEXEC", -epoll);
  made->epoll.reset(epoll);
  const int wake = sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) return fail("eventfd", "0", -wake);
  made->wake.reset(wake);
  // Edge-triggered: each write is an edge of its own, so the counter never has to be read.
  epoll_event wanted{.events = EPOLLIN | EPOLLET, .data = {.u64 = token().bits()}};
  const int added = sys::epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &wanted);
  if (added < 0) return fail("epoll_ctl", "EPOLL_CTL_ADD of the wake descriptor", -added);
  state_ = std::move(made);
  return {};
}

void epoll_poller::wake() const noexcept {
  const std::uint64_t one = 1;
  sys::write(state_->wake.get(), &one, sizeof one);
}

poller_limits epoll_poller::limits() const noexcept { return {.peers = state_->peers.get()}; }

int epoll_poller::state::start_accepting(const change& wanted) noexcept {
  if (wanted.subject.slot() >= max_listeners) return -ENOSPC;
  accept_source& source = sources[wanted.subject.slot()];
  if (source.armed) return -EEXIST;
  epoll_event level{.events = EPOLLIN, .data = {.u64 = wanted.subject.bits()}};
  const int added = sys::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wanted.fd, &level);
  if (added < 0) return added;
  source = {.subject = wanted.subject, .fd = wanted.fd, .armed = true};
  source.countable = waiting_on(wanted.fd) >= 0;
  return 0;
}

void epoll_poller::state::stop_accepting(accept_source& source) noexcept {
  if (!source.armed) return;
  source.armed = false;
  sys::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, source.fd, nullptr);
}

event* epoll_poller::state::apply(const change& wanted, event* out) noexcept {
  int failed = 0;
  switch (wanted.what) {
    case operation::accept:
      failed = start_accepting(wanted);
      break;
    case operation::stop_accept:
      if (wanted.subject.slot() < max_listeners) stop_accepting(sources[wanted.subject.slot()]);
      break;
    case operation::receive: {
      epoll_event both{.events = connection_events, .data = {.u64 = wanted.subject.bits()}};
      failed = sys::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wanted.fd, &both);
      break;
    }
    case operation::detach: {
      if (wanted.subject.what() == role::listener && wanted.subject.slot() < max_listeners)
        sources[wanted.subject.slot()].armed = false;
      // Also when it was never registered: then the kernel holds nothing, which is what was asked.
      sys::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, wanted.fd, nullptr);
      *out++ = {.subject = wanted.subject,
                .result = detach_result::released,
                .kind = event_kind::detached};
      break;
    }
    case operation::send:
    case operation::stop_receive:
    case operation::recycle:
    case operation::close:
      failed = -EOPNOTSUPP;
      break;
  }
  if (failed < 0)
    *out++ = {.subject = wanted.subject,
              .result = failed,
              .buffer = static_cast<std::uint16_t>(wanted.what),
              .kind = event_kind::failed};
  return out;
}

/// How many wait, when it is time to ask again; otherwise one.
std::uint32_t epoll_poller::state::probe(accept_source& source) noexcept {
  source.streak = 0;
  const int waiting = source.countable ? waiting_on(source.fd) : 1;
  if (waiting < 0) return 1;
  source.probe_interval =
      waiting > 1 ? 1 : std::min(source.probe_interval * 2, longest_probe_interval);
  return static_cast<std::uint32_t>(waiting);
}

/// An accept that failed. True when there is no use in another one now.
bool epoll_poller::state::accept_failed(accept_source& source, int code, event*& out) noexcept {
  const accept_class failed = classify_accept_error(-code);
  if (failed == accept_class::drained) return true;
  const bool more = failed == accept_class::retry;
  *out++ = {.subject = source.subject,
            .result = code,
            .kind = event_kind::accepted,
            .more = static_cast<std::uint8_t>(more)};
  if (!more) stop_accepting(source);
  return !more;
}

/// Accepts what its policy allows, within `room`; writes to `out` and returns its new end.
[[gnu::always_inline]] inline event* epoll_poller::state::serve(accept_source& source,
                                                                instant since_last,
                                                                std::uint32_t room, event* out,
                                                                std::uint32_t& used) noexcept {
  std::uint32_t want = 1;
  if (source.served_turn + 1 != turn || since_last >= at_once_ns * accepted) {
    source.streak = 0;
  } else if (++source.streak >= source.probe_interval) {
    want = std::min(probe(source), room);
  }
  source.served_turn = turn;
  // A failed accept takes a place like one that succeeded: the errors of a turn are bounded too.
  std::uint32_t at = used;
  for (const std::uint32_t end = used + want; at != end; ++at) {
    sockaddr_storage from;
    from.ss_family = AF_UNSPEC;
    socklen_t length = sizeof from;
    const int fd = sys::accept4(source.fd, reinterpret_cast<sockaddr*>(&from), &length,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) [[unlikely]] {
      if (accept_failed(source, fd, out)) break;
      continue;
    }
    compact(from, peers[at]);
    *out++ = {.subject = source.subject,
              .result = fd,
              .buffer = static_cast<std::uint16_t>(at),
              .kind = event_kind::accepted,
              .more = 1};
  }
  used = at;
  return out;
}

/// Several listeners at once: each in turn, beginning with the one that was left out last. Out of
/// line, so that one listener alone stays in registers.
[[gnu::noinline]] event* epoll_poller::state::serve_several(std::span<const epoll_event> from,
                                                            instant since_last, std::uint32_t room,
                                                            event* out,
                                                            std::uint32_t& used) noexcept {
  std::uint64_t reported = 0;
  for (const epoll_event& one : from) {
    const token subject = token::from_bits(one.data.u64);
    if (subject.what() == role::listener) reported |= std::uint64_t{1} << subject.slot();
  }
  reported = std::rotr(reported, static_cast<int>(first_source));
  for (; reported != 0; reported &= reported - 1) {
    const unsigned index =
        (static_cast<unsigned>(std::countr_zero(reported)) + first_source) % max_listeners;
    if (used >= room) {
      first_source = index;
      break;
    }
    out = serve(sources[index], since_last, room - used, out, used);
  }
  return out;
}

int epoll_poller::turn(std::span<const change> changes, std::span<event> events,
                       turn_terms& terms) noexcept {
  state& s = *state_;
  event* out = events.data();
  // The handlers have taken time since terms.now: where that would make the wait too long, ask.
  int wait = terms.until.is_never() || terms.until.is_immediate()
                 ? terms.until.milliseconds_from(terms.now)
                 : terms.until.milliseconds_from(now());
  if (!changes.empty()) [[unlikely]] {
    if (events.size() < changes.size() + least_event_room) return -EINVAL;
    for (const change& wanted : changes) out = s.apply(wanted, out);
    if (out != events.data()) wait = 0;
  }
  const auto room = static_cast<std::uint32_t>(events.data() + events.size() - out);
  const std::uint32_t accept_room = std::min(std::min(terms.accept_room, s.accept_slots), room / 2);
  const std::uint32_t most = std::min(room - accept_room, most_kernel_events);
  const int count = sys::epoll_wait(s.epoll.get(), s.ready.data(), static_cast<int>(most), wait);
  timespec clock;
  sys::clock_gettime(CLOCK_MONOTONIC, &clock);
  const instant before = terms.now;
  terms.now = clock.tv_sec * instant{1'000'000'000} + clock.tv_nsec;
  if (count < 0) [[unlikely]]
    return count == -EINTR ? static_cast<int>(out - events.data()) : count;
  ++s.turn;

  accept_source* source = nullptr;
  std::uint32_t sources = 0;
  for (const epoll_event *one = s.ready.data(), *end = one + count; one != end; ++one) {
    const token subject = token::from_bits(one->data.u64);
    if (subject.what() == role::listener) {
      source = &s.sources[subject.slot()];
      ++sources;
    } else if (subject.what() == role::connection) {
      const std::int32_t hints = hints_of(one->events);
      const bool only_out = hints == readiness::out;
      *out++ = {.subject = subject,
                .result = hints,
                .kind = only_out ? event_kind::writable : event_kind::readable};
    } else {
      *out++ = {.kind = event_kind::woken};
    }
  }
  if (source != nullptr && accept_room != 0) {
    const instant since_last = terms.now - before;
    std::uint32_t used = 0;
    out = sources == 1 ? s.serve(*source, since_last, accept_room, out, used)
                       : s.serve_several(std::span(s.ready).first(static_cast<std::size_t>(count)),
                                         since_last, accept_room, out, used);
    s.accepted = used + 1;
  }
  return static_cast<int>(out - events.data());
}

}  // namespace hinge
