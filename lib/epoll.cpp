// Layout of a turn: changes first, then one epoll_wait, then each kernel event becomes one event,
// or, for a listener, as many accepted connections as its policy takes.
//
// Room: a turn has room for events.size() events. The answers to changes come first. Of what is
// left, a share is kept back for accepted connections, so that epoll_wait can't fill everything
// with reads.

#include <hinge/epoll.hpp>

#include <hinge/fd.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "accept_sources.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::uint32_t most_kernel_events = 512;
// Connections after which one of several pollers lets the others be asked first.
constexpr std::uint32_t taken_at_front = 16;
constexpr std::uint32_t connection_events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

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

struct epoll_poller::state : accept_sources<epoll_poller::state> {
  static constexpr bool reports_waiting() noexcept { return false; }

  unique_fd epoll;
  unique_fd wake;
  bool exclusive = false;               // others share the listeners
  std::uint32_t taken_since_front = 0;  // connections since the last step_back()
  std::array<epoll_event, most_kernel_events> ready;

  event* apply(const change& wanted, event* out) noexcept;
  int start_accepting(const change& wanted) noexcept;
  int watch(int fd, token subject) noexcept;
  void disarm(const accept_source& source) noexcept;
  event* step_back(event* out) noexcept;
  std::uint64_t reported_listeners(int count) const noexcept;
};

static_assert(epoll_poller::max_listeners == most_accept_sources);

epoll_poller::epoll_poller() noexcept = default;
epoll_poller::~epoll_poller() = default;
epoll_poller::epoll_poller(epoll_poller&&) noexcept = default;
epoll_poller& epoll_poller::operator=(epoll_poller&&) noexcept = default;

result<void> epoll_poller::open(const poller_options& options) noexcept {
  std::unique_ptr<state> made(new (std::nothrow) state);
  if (!made) return fail("open epoll", "memory for events", ENOMEM);
  if (result<void> opened = made->open_sources("open epoll", options); !opened) return opened;

  made->exclusive = options.accepting == accept_sharing::exclusive;
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
  const sys::errno_kept by_a_signal_handler;
  const std::uint64_t one = 1;
  sys::write(state_->wake.get(), &one, sizeof one);
}

poller_limits epoll_poller::limits() const noexcept { return {.peers = state_->peers.get()}; }

int epoll_poller::state::start_accepting(const change& wanted) noexcept {
  if (const int refused = may_start(wanted); refused < 0) return refused;
  const int added = watch(wanted.fd, wanted.subject);
  if (added == 0) started(wanted);
  return added;
}

int epoll_poller::state::watch(int fd, token subject) noexcept {
  epoll_event level{.events = EPOLLIN, .data = {.u64 = subject.bits()}};
  if (exclusive) level.events |= EPOLLEXCLUSIVE;
  return sys::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &level);
}

void epoll_poller::state::disarm(const accept_source& source) noexcept {
  sys::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, source.fd, nullptr);
}

/// The kernel wakes the first of those who share a listener that waits: without this, always the
/// same one. What can't be registered again is told as an accept that failed; one a turn.
[[gnu::noinline]] event* epoll_poller::state::step_back(event* out) noexcept {
  taken_since_front = 0;
  for (accept_source& source : sources) {
    if (!source.armed) continue;
    disarm(source);
    const int failed = watch(source.fd, source.subject);
    if (failed == 0) continue;
    source.armed = false;
    *out++ = {.subject = source.subject, .result = failed, .kind = event_kind::accepted};
    break;
  }
  return out;
}

event* epoll_poller::state::apply(const change& wanted, event* out) noexcept {
  int failed = 0;
  switch (wanted.what) {
    case operation::accept:
      failed = start_accepting(wanted);
      break;
    case operation::stop_accept:
      if (accept_source* const source = source_of(wanted)) stop_accepting(*source);
      break;
    case operation::receive: {
      epoll_event both{.events = connection_events, .data = {.u64 = wanted.subject.bits()}};
      failed = sys::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wanted.fd, &both);
      break;
    }
    case operation::detach: {
      if (accept_source* const source = source_of(wanted)) source->armed = false;
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
  if (failed < 0) *out++ = failed_event(wanted.subject, failed, wanted.what);
  return out;
}

/// A bit each. Out of line: rarely there are several.
[[gnu::noinline]] std::uint64_t epoll_poller::state::reported_listeners(int count) const noexcept {
  std::uint64_t reported = 0;
  for (int i = 0; i < count; ++i) {
    const token subject = token::from_bits(ready[static_cast<std::size_t>(i)].data.u64);
    if (subject.what() == role::listener) reported |= std::uint64_t{1} << subject.slot();
  }
  return reported;
}

int epoll_poller::turn(std::span<const change> changes, std::span<event> events,
                       turn_terms& terms) noexcept {
  state& s = *state_;
  event* out = events.data();
  // The handlers have taken time since terms.now: where that would make the wait too long, ask.
  int wait = terms.until.is_never() || terms.until.is_immediate()
                 ? terms.until.milliseconds_from(terms.now)
                 : terms.until.milliseconds_from(now());
  if (s.taken_since_front >= taken_at_front) [[unlikely]]
    out = s.step_back(out);
  if (!changes.empty()) [[unlikely]] {
    if (events.size() < changes.size() + least_event_room) return -EINVAL;
    for (const change& wanted : changes) out = s.apply(wanted, out);
  }
  if (out != events.data()) [[unlikely]]
    wait = 0;
  const auto room = static_cast<std::uint32_t>(events.data() + events.size() - out);
  const std::uint32_t accept_room = std::min(std::min(terms.accept_room, s.accept_slots), room / 2);
  const std::uint32_t most = std::min(room - accept_room, most_kernel_events);
  const int count = sys::epoll_wait(s.epoll.get(), s.ready.data(), static_cast<int>(most), wait);
  timespec clock;
  sys::clock_gettime(CLOCK_MONOTONIC, &clock);
  const instant before = terms.now;
  terms.now = clock.tv_sec * instant{1'000'000'000} + clock.tv_nsec;
  // What is answered has to be told; what is broken for good says so again.
  if (count < 0) [[unlikely]]
    return count == -EINTR || out != events.data() ? static_cast<int>(out - events.data()) : count;
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
    out = sources == 1
              ? s.serve(*source, since_last, accept_room, out, used)
              : s.serve_several(s.reported_listeners(count), since_last, accept_room, out, used);
    s.accepted = used + 1;
    if (s.exclusive) s.taken_since_front += used;
  }
  return static_cast<int>(out - events.data());
}

}  // namespace hinge
