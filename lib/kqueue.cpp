// Layout of a turn: changes become kevents, one kevent(2) takes them and waits, and what it returns
// becomes events. Two kinds come back: changes that failed (EV_ERROR in the flags, and an errno in
// `data`), and what is ready. A kernel returns the second kind only when there is none of the first
// (FreeBSD, NetBSD, OpenBSD, macOS); libkqueue returns both together. Either way a turn with a
// failed change ends at once, and what is ready and not told comes with the next one.
//
// Room: a failed change takes a slot of the kernel's array, and without one the changes behind it
// are not applied. So the call has at least as many slots as changes, or the changes go ahead in a
// call of their own, with a receipt each.

#include <hinge/kqueue.hpp>

#include <hinge/fd.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "accept_sources.hpp"
#include "kqueue_event.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

using kevents::filter;
using kevents::kernel_change;
using kevents::subject_of;
using kevents::unanswered;
using sys::kernel_count;
using sys::kernel_event;

constexpr std::uint32_t most_kernel_events = 512;
constexpr std::uint32_t most_of_one_change = 2;  // reading and writing are two filters
// Those of a turn, or what takes them all back; and what its accepts have stopped.
constexpr std::uint32_t most_kernel_changes = most_kernel_events + most_accept_sources;
constexpr timespec at_once{};
// NetBSD, OpenBSD and macOS refuse more than 100,000,000 s.
constexpr instant longest_wait_s = 10'000'000;

/// How long from now on; null: for ever. The clock is asked: since the turn before, handlers have
/// taken their time.
const timespec* wait_until(deadline until, timespec& into) noexcept {
  if (until.is_never()) return nullptr;
  if (until.is_immediate()) return &at_once;
  const instant wait = until.when() - now();
  if (wait <= 0) return &at_once;
  into.tv_sec = static_cast<time_t>(std::min(wait / 1'000'000'000, longest_wait_s));
  into.tv_nsec = static_cast<long>(wait % 1'000'000'000);
  return &into;
}

}  // namespace

struct kqueue_poller::state : accept_sources<kqueue_poller::state> {
  /// Of a slot, in 8 bytes: its token, which is never 0, and in a bit that no role has whether its
  /// write filter is there, too.
  class registration {
  public:
    registration() noexcept = default;
    explicit registration(token subject) noexcept : bits_(subject.bits()) {}
    token subject() const noexcept { return token::from_bits(bits_ & ~write_filter); }
    bool writes() const noexcept { return (bits_ & write_filter) != 0; }
    void set_writes() noexcept { bits_ |= write_filter; }
    void clear_writes() noexcept { bits_ &= ~write_filter; }

  private:
    static constexpr std::uint64_t write_filter = std::uint64_t{1} << 31;
    std::uint64_t bits_ = 0;
  };
  struct freed {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  static bool reports_waiting() noexcept { return !sys::on_libkqueue; }

  unique_fd queue;
  unique_fd wake_reads;  // without user events: a pipe
  unique_fd wake_writes;
  std::uint32_t slots = 0;
  std::unique_ptr<registration[], freed> registered;  // by slot
  std::uint32_t change_count = 0;                     // of these
  std::array<kernel_event, most_kernel_changes> changes;
  std::array<kernel_event, most_kernel_changes> ready;

  result<void> open_queue() noexcept;
  result<void> open_wake() noexcept;
  result<void> open_pipe() noexcept;
  int submit(std::uint32_t room, const timespec* wait) noexcept;

  void queue_change(int fd, filter what, unsigned does, token subject) noexcept {
    changes[change_count++] = kernel_change(fd, what, does, subject);
  }
  void disarm(const accept_source& source) noexcept {
    queue_change(source.fd, EVFILT_READ, EV_DELETE, unanswered(source.subject));
  }
  void unregister(int fd, registration& of) noexcept;
  registration* registration_of(token subject) noexcept {
    const bool known = subject.slot() < slots && registered[subject.slot()].subject() == subject;
    return known ? &registered[subject.slot()] : nullptr;
  }
  int start_receiving(const change& wanted) noexcept;
  int await_room(const change& wanted) noexcept;
  void detach(const change& wanted) noexcept;
  int apply(const change& wanted, event*& out) noexcept;
  void apply_all(std::span<const change> wanted, event*& out) noexcept;
  int submit_ahead(std::uint32_t left, event*& out) noexcept;
  void change_failed(const kernel_event& one, event*& out) noexcept;
  void all_changes_failed(event*& out) noexcept;
  bool woken() noexcept;
  event* collect(std::uint32_t count, instant since_last, std::uint32_t accept_room, event* out,
                 const event* end) noexcept;
};

static_assert(kqueue_poller::max_listeners == most_accept_sources);

kqueue_poller::kqueue_poller() noexcept = default;
kqueue_poller::~kqueue_poller() = default;
kqueue_poller::kqueue_poller(kqueue_poller&&) noexcept = default;
kqueue_poller& kqueue_poller::operator=(kqueue_poller&&) noexcept = default;

// --- opening -------------------------------------------------------------------------------------

result<void> kqueue_poller::open(const poller_options& options) noexcept {
  if (options.connections == 0) return fail("open kqueue", "connections must not be 0", EINVAL);
  std::unique_ptr<state> made(new (std::nothrow) state);
  if (!made) return fail("open kqueue", "memory for events", ENOMEM);
  if (result<void> opened = made->open_sources("open kqueue", options); !opened) return opened;
  made->slots = options.connections;
  made->registered.reset(  // touches no page
      static_cast<state::registration*>(
          std::calloc(options.connections, sizeof(state::registration))));
  if (!made->registered) return fail("open kqueue", "memory for connections", ENOMEM);
  if (result<void> opened = made->open_queue(); !opened) return opened;
  if (result<void> opened = made->open_wake(); !opened) return opened;
  state_ = std::move(made);
  return {};
}

result<void> kqueue_poller::state::open_queue() noexcept {
  const int opened = sys::kqueue();
  if (opened < 0) return fail("kqueue", "", -opened);
  queue.reset(opened);
  const int set = sys::fcntl(opened, F_SETFD, FD_CLOEXEC);
  if (set < 0) return fail("fcntl", "FD_CLOEXEC of the queue", -set);
  return {};
}

result<void> kqueue_poller::state::open_wake() noexcept {
#ifdef EVFILT_USER
  if (sys::on_libkqueue) return open_pipe();
  const kernel_event wanted = kernel_change(0, EVFILT_USER, EV_ADD | EV_CLEAR, token());
  const int added = sys::kevent(queue.get(), &wanted, 1, nullptr, 0, &at_once);
  if (added >= 0) return {};
  // A kernel that is older than its headers.
  if (added != -EINVAL) return fail("kevent", "EV_ADD of EVFILT_USER", -added);
#endif
  return open_pipe();
}

result<void> kqueue_poller::state::open_pipe() noexcept {
  int ends[2];
  const int made = sys::pipe(ends);
  if (made < 0) return fail("pipe", "to wake by", -made);
  wake_reads.reset(ends[0]);
  wake_writes.reset(ends[1]);
  for (const int fd : ends) {
    int set = sys::fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (set >= 0) set = sys::fcntl(fd, F_SETFL, O_NONBLOCK);
    if (set < 0) return fail("fcntl", "of the pipe to wake by", -set);
  }
  const kernel_event wanted = kernel_change(ends[0], EVFILT_READ, EV_ADD | EV_CLEAR, token());
  const int added = sys::kevent(queue.get(), &wanted, 1, nullptr, 0, &at_once);
  if (added < 0) return fail("kevent", "EV_ADD of the pipe to wake by", -added);
  return {};
}

void kqueue_poller::wake() const noexcept {
  const sys::errno_kept by_a_signal_handler;
#ifdef EVFILT_USER
  if (!state_->wake_writes) {
    kernel_event trigger = kernel_change(0, EVFILT_USER, 0, token());
    trigger.fflags = NOTE_TRIGGER;
    sys::kevent(state_->queue.get(), &trigger, 1, nullptr, 0, &at_once);
    return;
  }
#endif
  // A pipe that is full has woken already.
  sys::write(state_->wake_writes.get(), "", 1);
}

/// At once, and not with the next turn: by then the number may be another connection's.
void kqueue_poller::closing(int fd) noexcept {
  if (!sys::on_libkqueue) return;
  const std::array both = {kernel_change(fd, EVFILT_READ, EV_DELETE | EV_RECEIPT, token()),
                           kernel_change(fd, EVFILT_WRITE, EV_DELETE | EV_RECEIPT, token())};
  std::array<kernel_event, both.size()> receipts;  // no slot is left for what is ready
  sys::kevent(state_->queue.get(), both.data(), both.size(), receipts.data(), receipts.size(),
              &at_once);
}

/// The report of what wakes: true when somebody has called.
bool kqueue_poller::state::woken() noexcept {
  if (!wake_reads) return true;
  std::array<std::byte, 512> written;
  constexpr auto all = static_cast<ssize_t>(written.size());
  const ssize_t first = sys::read(wake_reads.get(), written.data(), written.size());
  for (ssize_t count = first; count == all;)
    count = sys::read(wake_reads.get(), written.data(), written.size());
  return first > 0;
}

poller_limits kqueue_poller::limits() const noexcept {
  return {.peers = state_->peers.get(), .asks_to_send = true};
}

// --- changes -------------------------------------------------------------------------------------

void kqueue_poller::state::unregister(int fd, registration& of) noexcept {
  const registration gone = std::exchange(of, {});
  queue_change(fd, EVFILT_READ, EV_DELETE, unanswered(gone.subject()));
  if (gone.writes()) queue_change(fd, EVFILT_WRITE, EV_DELETE, unanswered(gone.subject()));
}

/// A second EV_ADD would change the registration and, on some systems, report again what was told.
int kqueue_poller::state::start_receiving(const change& wanted) noexcept {
  const token subject = wanted.subject;
  if (subject.slot() >= slots) return -ENOSPC;
  if (registration_of(subject) != nullptr) return -EEXIST;
  registered[subject.slot()] = registration(subject);
  queue_change(wanted.fd, EVFILT_READ, EV_ADD | EV_CLEAR, subject);
  return 0;
}

/// Once: a write filter that stays wakes with each ACK, which makes room in a socket that was never
/// full (sowakeup and filt_sowrite of FreeBSD's kernel).
int kqueue_poller::state::await_room(const change& wanted) noexcept {
  registration* const known = registration_of(wanted.subject);
  if (known == nullptr) return -ENOENT;
  if (known->writes()) return 0;
  known->set_writes();
  // EV_CLEAR for libkqueue, where both filters are one registration with epoll.
  queue_change(wanted.fd, EVFILT_WRITE, EV_ADD | EV_CLEAR | EV_ONESHOT, wanted.subject);
  return 0;
}

void kqueue_poller::state::detach(const change& wanted) noexcept {
  const token subject = wanted.subject;
  if (accept_source* const source = source_of(wanted)) {
    stop_accepting(*source);
  } else if (registration* const known = registration_of(subject)) {
    unregister(wanted.fd, *known);
  }
}

int kqueue_poller::state::apply(const change& wanted, event*& out) noexcept {
  switch (wanted.what) {
    case operation::accept: {
      if (const int refused = may_start(wanted); refused < 0) return refused;
      started(wanted);
      queue_change(wanted.fd, EVFILT_READ, EV_ADD, wanted.subject);
      return 0;
    }
    case operation::stop_accept:
      if (accept_source* const source = source_of(wanted)) stop_accepting(*source);
      return 0;
    case operation::receive:
      return start_receiving(wanted);
    case operation::detach:
      // Deleted before the next event is asked for.
      detach(wanted);
      *out++ = {.subject = wanted.subject,
                .result = detach_result::released,
                .kind = event_kind::detached};
      return 0;
    case operation::send:
      return wanted.length == 0 ? await_room(wanted) : -EOPNOTSUPP;
    case operation::stop_receive:
    case operation::recycle:
    case operation::close:
      break;
  }
  return -EOPNOTSUPP;
}

/// What can be answered before the kernel is asked, and what it refused ahead, is written to `out`.
void kqueue_poller::state::apply_all(std::span<const change> wanted, event*& out) noexcept {
  for (const change& one : wanted) {
    const bool has_room = submit_ahead(most_kernel_events - most_of_one_change, out) >= 0;
    const int code = has_room ? apply(one, out) : -ENOMEM;
    if (code < 0) *out++ = failed_event(one.subject, code, one.what);
  }
}

/// Until at most `left` changes are left. EV_RECEIPT: each is answered, so that no slot is left for
/// what is ready. What failed may leave something to delete, which asks for nothing more. 0, or
/// -errno of a kevent that failed altogether.
int kqueue_poller::state::submit_ahead(std::uint32_t left, event*& out) noexcept {
  while (change_count > left) {
    for (std::uint32_t i = 0; i < change_count; ++i) changes[i].flags |= EV_RECEIPT;
    const int count = submit(change_count, &at_once);
    if (count < 0 && count != -EINTR) {
      all_changes_failed(out);
      return count;
    }
    change_count = 0;
    for (int i = 0; i < count; ++i) change_failed(ready[static_cast<std::size_t>(i)], out);
  }
  return 0;
}

/// What came of a change, if it failed. Of a connection that isn't heard the failure is told once.
/// There are at most as many deletions as changes.
void kqueue_poller::state::change_failed(const kernel_event& one, event*& out) noexcept {
  if ((one.flags & EV_ERROR) == 0 || one.data == 0) return;
  const token subject = subject_of(one);
  const int code = -static_cast<int>(one.data);
  if (subject.what() == role::listener) {
    accept_source& source = sources[subject.slot()];
    if (source.subject != subject || !source.armed) return;
    stop_accepting(source);
    *out++ = failed_event(subject, code, operation::accept);
  } else if (subject.what() == role::connection) {
    // Nobody reads what would be written: reading tells why (reported of macOS).
    if (one.filter == EVFILT_WRITE && code == -EPIPE) return;
    registration* const known = registration_of(subject);
    if (known == nullptr) return;
    const bool reads = one.filter == EVFILT_READ;
    if (reads) unregister(static_cast<int>(one.ident), *known);
    if (!reads && known->writes()) {
      known->clear_writes();
      queue_change(static_cast<int>(one.ident), EVFILT_WRITE, EV_DELETE, unanswered(subject));
    }
    *out++ = failed_event(subject, code, reads ? operation::receive : operation::send);
  }
}

/// A kevent has failed altogether, and who knows how far it came: what it was to add has failed,
/// and is deleted with what it was to delete by the next one. ENOMEM, as any other errno would say
/// something of a descriptor.
void kqueue_poller::state::all_changes_failed(event*& out) noexcept {
  const std::uint32_t count = std::exchange(change_count, 0);
  std::copy_n(changes.begin(), count, ready.begin());
  for (std::uint32_t i = 0; i < count; ++i) {
    kernel_event& one = ready[i];
    if ((one.flags & EV_DELETE) != 0) {
      one.flags = static_cast<kevents::flags>(one.flags & ~EV_RECEIPT);
      changes[change_count++] = one;
      continue;
    }
    one.flags = EV_ERROR;
    one.data = ENOMEM;
    change_failed(one, out);
  }
}

/// kevent(2) with all changes and `room` slots.
int kqueue_poller::state::submit(std::uint32_t room, const timespec* wait) noexcept {
  return sys::kevent(queue.get(), changes.data(), static_cast<kernel_count>(change_count),
                     ready.data(), static_cast<kernel_count>(room), wait);
}

// --- a turn --------------------------------------------------------------------------------------

/// What is ready. Connections come first, as what they say exists here alone: a listener is
/// reported again.
event* kqueue_poller::state::collect(std::uint32_t count, instant since_last,
                                     std::uint32_t accept_room, event* out,
                                     const event* end) noexcept {
  accept_source* source = nullptr;
  std::uint64_t reported = 0;
  for (const kernel_event *one = ready.data(), *last = one + count; one != last; ++one) {
    if ((one->flags & EV_ERROR) != 0) [[unlikely]]
      continue;
    const token subject = subject_of(*one);
    if (subject.what() == role::listener) {
      source = &sources[subject.slot()];
      source->reported = static_cast<std::uint32_t>(
          std::clamp<std::int64_t>(static_cast<std::int64_t>(one->data), 1, no_buffer));
      reported |= std::uint64_t{1} << subject.slot();
    } else if (subject.what() == role::connection) {
      if (one->filter == EVFILT_WRITE)
        if (registration* const known = registration_of(subject)) known->clear_writes();
      *out++ = kevents::connection_event(*one, subject);
    } else if (woken()) {
      *out++ = {.kind = event_kind::woken};
    }
  }
  accept_room = std::min(accept_room, static_cast<std::uint32_t>(end - out));
  if (reported == 0 || accept_room == 0) return out;
  std::uint32_t used = 0;
  out = std::has_single_bit(reported) ? serve(*source, since_last, accept_room, out, used)
                                      : serve_several(reported, since_last, accept_room, out, used);
  accepted = used + 1;
  return out;
}

int kqueue_poller::turn(std::span<const change> changes, std::span<event> events,
                        turn_terms& terms) noexcept {
  state& s = *state_;
  event* out = events.data();
  if (events.size() < changes.size() + least_event_room) return -EINVAL;
  s.apply_all(changes, out);

  const auto room = static_cast<std::uint32_t>(events.size() - changes.size());
  const std::uint32_t accept_room = std::min(std::min(terms.accept_room, s.accept_slots), room / 2);
  // A kevent with a single slot could be filled by the same descriptor again and again.
  const std::uint32_t most =
      std::clamp(room - accept_room, std::uint32_t{least_event_room}, most_kernel_events);
  int count = s.submit_ahead(most, out);
  timespec wait;
  const timespec* const until = out != events.data() ? &at_once : wait_until(terms.until, wait);
  if (count >= 0) count = s.submit(most, until);
  timespec clock;
  sys::clock_gettime(CLOCK_MONOTONIC, &clock);
  const instant before = terms.now;
  terms.now = clock.tv_sec * instant{1'000'000'000} + clock.tv_nsec;
  // Interrupted: the changes have been applied (kevent(2)).
  if (count < 0 && count != -EINTR) [[unlikely]] {
    s.all_changes_failed(out);
    // What is answered has to be told; what is broken for good says so again.
    return out != events.data() ? static_cast<int>(out - events.data()) : count;
  }
  const bool changed = std::exchange(s.change_count, 0) != 0;
  ++s.turn;
  const auto returned = static_cast<std::uint32_t>(std::max(count, 0));
  if (changed) {
    for (std::uint32_t i = 0; i < returned; ++i) s.change_failed(s.ready[i], out);
  }
  out = s.collect(returned, terms.now - before, accept_room, out, events.data() + events.size());
  return static_cast<int>(out - events.data());
}

}  // namespace hinge
