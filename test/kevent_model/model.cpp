#include "kevent_model/model.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "kevent_model/filters.hpp"
#include "simulator/random.hpp"

namespace hinge::test::kevent_model {

namespace {

using clock = std::chrono::steady_clock;

constexpr unsigned short kept_flags = EV_CLEAR | EV_ONESHOT | EV_DISPATCH;

struct world {
  std::mutex mutex;
  behaviour how;
  sim::random_source random{1};
  std::map<int, queue> queues;
  std::uint64_t turn = 0;
  std::vector<event> log;
  bool logs = false;
};

world& all() {
  static world made;
  return made;
}

/// A signal handler may wake: nothing interrupts who holds the lock.
class guard {
public:
  guard() {
    sigset_t every;
    sigfillset(&every);
    pthread_sigmask(SIG_BLOCK, &every, &before_);
    all().mutex.lock();
  }
  ~guard() {
    all().mutex.unlock();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

private:
  sigset_t before_;
};

// --- edges ---------------------------------------------------------------------------------------

void activate(queue& of, std::uintptr_t fd, short filter) {
  const auto at = of.notes.find({fd, filter});
  if (at == of.notes.end() || std::exchange(at->second.active, true)) return;
  at->second.turn = ++all().turn;
}

void edge(queue& of, const epoll_event& seen) {
  const auto fd = static_cast<std::uintptr_t>(seen.data.fd);
  if ((seen.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) activate(of, fd, EVFILT_READ);
  // What comes from the peer also acknowledges what it had, which makes room.
  activate(of, fd, EVFILT_WRITE);
}

void absorb_edges(int of, queue& in) {
  std::array<epoll_event, 256> seen;
  const auto room = static_cast<int>(seen.size());
  int count = room;
  while (count == room) {
    count = epoll_wait(of, seen.data(), room, 0);
    for (int i = 0; i < count; ++i) edge(in, seen[static_cast<std::size_t>(i)]);
  }
}

/// sowakeup() of FreeBSD looks at the filter after each ACK, whether the socket was full or not.
void absorb_acks(queue& in) {
  for (auto& [name, one] : in.notes) {
    if (name.second != EVFILT_WRITE) continue;
    const std::uint64_t now = acknowledged(static_cast<int>(name.first));
    if (std::exchange(one.acknowledged, now) < now) activate(in, name.first, name.second);
  }
}

/// Its registrations have gone with it.
bool is_closed(const note& one) {
  return one.wanted.filter != EVFILT_USER && file_of(one.wanted.ident) != one.of;
}

bool watched(const queue& of, std::uintptr_t fd) {
  return of.notes.count({fd, EVFILT_READ}) + of.notes.count({fd, EVFILT_WRITE}) != 0;
}

void forget_closed(queue& of, std::uintptr_t fd, const std::optional<file>& now) {
  if (all().how.keeps_closed) return;
  for (const short filter : {short{EVFILT_READ}, short{EVFILT_WRITE}}) {
    const auto at = of.notes.find({fd, filter});
    if (at != of.notes.end() && (!now || at->second.of != *now)) of.notes.erase(at);
  }
  const auto known = of.errors.find(fd);
  if (known != of.errors.end() && (!now || known->second.first != *now)) of.errors.erase(known);
}

int watch(int queue_fd, std::uintptr_t fd) {
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  wanted.data.fd = static_cast<int>(fd);
  if (epoll_ctl(queue_fd, EPOLL_CTL_ADD, wanted.data.fd, &wanted) == 0) return 0;
  return errno == EEXIST ? 0 : errno;
}

// --- changes -------------------------------------------------------------------------------------

int add(int queue_fd, queue& of, const event& wanted, const file& which) {
  const bool user = wanted.filter == EVFILT_USER;
  if (!user && !watched(of, wanted.ident)) {
    if (const int failed = watch(queue_fd, wanted.ident)) return failed;
  }
  absorb_edges(queue_fd, of);  // the ones of the note are not those of the descriptor
  note& made = of.notes[{wanted.ident, wanted.filter}];
  made.wanted = wanted;
  made.wanted.flags &= kept_flags;
  made.of = which;
  made.enabled = (wanted.flags & EV_DISABLE) == 0;
  made.turn = ++all().turn;
  made.active = !user && look(of, made, all().how).fires;
  if (!user) made.acknowledged = acknowledged(static_cast<int>(wanted.ident));
  return 0;
}

void modify(queue& of, note& one, const event& wanted) {
  one.wanted.udata = wanted.udata;
  const bool adds = (wanted.flags & EV_ADD) != 0;
  if (adds) one.wanted.fflags = wanted.fflags;
  if ((wanted.flags & EV_DISABLE) != 0) one.enabled = false;
  if ((wanted.flags & EV_ENABLE) != 0) {
    one.enabled = true;
    if ((adds || !all().how.enable_loses_event) && look(of, one, all().how).fires)
      one.active = true;
  } else if (adds && all().how.adding_again_reports && look(of, one, all().how).fires) {
    one.active = true;
  }
}

/// 0 or an errno.
int apply(int queue_fd, queue& of, const event& wanted) {
  const bool user = wanted.filter == EVFILT_USER;
  if (user ? !all().how.has_user_events
           : wanted.filter != EVFILT_READ && wanted.filter != EVFILT_WRITE)
    return EINVAL;
  std::optional<file> which = user ? file{} : file_of(wanted.ident);
  if (!user) forget_closed(of, wanted.ident, which);
  const auto at = of.notes.find({wanted.ident, wanted.filter});
  const bool outlived = at != of.notes.end() && is_closed(at->second);
  if (!which && !outlived) return EBADF;
  if (at == of.notes.end()) {
    if ((wanted.flags & EV_ADD) == 0) return ENOENT;
    return add(queue_fd, of, wanted, *which);
  }
  if ((wanted.flags & EV_DELETE) != 0) {
    if (outlived && which) return ENOENT;  // what is under the number now was never added
    of.notes.erase(at);
    if (!user && !watched(of, wanted.ident))
      epoll_ctl(queue_fd, EPOLL_CTL_DEL, static_cast<int>(wanted.ident), nullptr);
    return 0;
  }
  if (outlived) {
    at->second.wanted.udata = wanted.udata;
    return 0;
  }
  modify(of, at->second, wanted);
  if (user && (wanted.fflags & NOTE_TRIGGER) != 0) at->second.active = true;
  return 0;
}

// --- events --------------------------------------------------------------------------------------

/// Those with something to tell, in the order in which they came to have it, or in any.
std::vector<note*> candidates(queue& of) {
  std::vector<note*> made;
  for (auto& [name, one] : of.notes)
    if (one.active && one.enabled) made.push_back(&one);
  std::sort(made.begin(), made.end(),
            [](const note* a, const note* b) { return a->turn < b->turn; });
  if (all().how.shuffles) all().random.shuffle(made);
  return made;
}

event report(note& one, const found& seen) {
  event made = one.wanted;
  made.data = seen.data;
  made.fflags = static_cast<unsigned>(seen.error);
  if (seen.ended) made.flags |= EV_EOF;
  if (all().how.returns_add) made.flags |= EV_ADD;
  if ((one.wanted.flags & (EV_CLEAR | EV_DISPATCH)) != 0) one.active = false;
  if ((one.wanted.flags & EV_DISPATCH) != 0) one.enabled = false;
  one.turn = ++all().turn;  // behind the others
  return made;
}

/// Something that is not ready is said to be.
int report_spuriously(queue& of, event* into) {
  std::vector<const note*> any;
  for (const auto& [name, one] : of.notes) {
    const bool listens = (one.wanted.flags & EV_CLEAR) == 0;
    if (name.second != EVFILT_USER && one.enabled && !is_closed(one) &&
        (!listens || all().how.listeners_lie))
      any.push_back(&one);
  }
  if (any.empty()) return 0;
  into[0] = any[all().random.below(any.size())]->wanted;
  into[0].data = (into[0].flags & EV_CLEAR) == 0 ? 1 : 0;
  return 1;
}

int take(int queue_fd, queue& of, event* into, int room) {
  absorb_edges(queue_fd, of);
  if (all().how.acks_wake) absorb_acks(of);
  int most = room;
  if (all().how.gives_fewer && all().random.chance(0.25))
    most = 1 + static_cast<int>(all().random.below(static_cast<std::size_t>(room)));
  int count = 0;
  for (note* const one : candidates(of)) {
    if (count == most) break;
    if (is_closed(*one)) {
      one->active = false;
      if (all().how.keeps_closed) continue;
      of.notes.erase({one->wanted.ident, one->wanted.filter});
      continue;
    }
    const found seen = look(of, *one, all().how);
    if (!seen.fires) {
      one->active = false;
      continue;
    }
    into[count++] = report(*one, seen);
    if ((one->wanted.flags & EV_ONESHOT) != 0)
      of.notes.erase({one->wanted.ident, one->wanted.filter});
  }
  return count;
}

/// Changes, as far as there is room to tell what came of them. -1: errno says why; otherwise how
/// many were told, and whether that is all of this call.
int change(int queue_fd, queue& of, const event* changes, int count, event* into, int room,
           bool& done) {
  int told = 0;
  for (int i = 0; i < count; ++i) {
    if (all().logs) all().log.push_back(changes[i]);
    const int failed = apply(queue_fd, of, changes[i]);
    if (failed == 0 && (changes[i].flags & EV_RECEIPT) == 0) continue;
    if (told == room) {
      done = true;
      if (failed == 0) return told;
      errno = failed;
      return -1;
    }
    into[told] = changes[i];
    into[told].flags =
        static_cast<unsigned short>(EV_ERROR | (all().how.returns_add ? changes[i].flags : 0));
    into[told++].data = failed;
  }
  done = told != 0 && all().how.errors_come_alone;
  return told;
}

/// What a kernel takes for a timeout; more seconds than that NetBSD, OpenBSD and macOS refuse.
bool is_timeout(const timespec* wait) {
  return wait == nullptr || (wait->tv_sec >= 0 && wait->tv_sec <= 100'000'000 &&
                             wait->tv_nsec >= 0 && wait->tv_nsec < 1'000'000'000);
}

using limit = std::optional<clock::time_point>;

limit limit_of(const timespec* wait) {
  if (wait == nullptr) return {};
  return clock::now() + std::chrono::seconds(wait->tv_sec) +
         std::chrono::nanoseconds(wait->tv_nsec);
}

/// Milliseconds to sleep; short ones, when something may happen that epoll doesn't tell.
int sleep_for(const limit& until, bool unseen) {
  int most = unseen ? 1 : -1;
  if (!until) return most;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock::now()).count();
  const int all_of_it = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
  return most < 0 ? all_of_it : std::min(most, all_of_it);
}

/// Until something comes, or the time is over. True: look again.
bool sleep(int queue_fd, const limit& until, bool unseen, int& failed) {
  epoll_event seen;
  const int count = epoll_wait(queue_fd, &seen, 1, sleep_for(until, unseen));
  if (count < 0) failed = errno;
  const guard held;
  if (count == 1) edge(all().queues[queue_fd], seen);
  return failed == 0;
}

}  // namespace

void behave(const behaviour& how) {
  const guard held;
  all().how = how;
  if (const char* const seed = std::getenv("HINGE_KEVENT_SEED"))
    all().how.seed = std::strtoull(seed, nullptr, 10);
  all().random = sim::random_source(all().how.seed);
}

behaviour calm() { return {.shuffles = false, .gives_fewer = false, .wakes_spuriously = false}; }

std::string text() {
  const behaviour& how = all().how;
  std::string made = "seed " + std::to_string(how.seed);
  for (const auto& [is, name] :
       {std::pair(how.shuffles, "shuffles"), std::pair(how.gives_fewer, "gives fewer"),
        std::pair(how.wakes_spuriously, "wakes spuriously"),
        std::pair(how.counts_waiting, "counts who waits"),
        std::pair(how.has_user_events, "has user events"),
        std::pair(how.enable_loses_event, "enabling loses an event"),
        std::pair(how.adding_again_reports, "adding again reports"),
        std::pair(how.takes_error, "takes the error"),
        std::pair(how.errors_come_alone, "errors come alone"),
        std::pair(how.keeps_closed, "keeps what is closed"),
        std::pair(how.returns_add, "returns EV_ADD"), std::pair(how.listeners_lie, "listeners lie"),
        std::pair(how.acks_wake, "ACKs wake"),
        std::pair(how.errors_lack_end, "errors lack EV_EOF")})
    if (is) made.append(", ").append(name);
  return made;
}

const std::vector<event>& changes() { return all().log; }

void forget_changes() {
  const guard held;
  all().logs = true;
  all().log.clear();
}

namespace {

int call(int queue_fd, const event* changes, int count, event* into, int room,
         const timespec* wait) {
  int told = 0;
  {
    const guard held;
    const auto at = all().queues.find(queue_fd);
    if (at == all().queues.end() || count < 0 || room < 0) {
      errno = at == all().queues.end() ? EBADF : EINVAL;
      return -1;
    }
    bool done = false;
    told = change(queue_fd, at->second, changes, count, into, room, done);
    if (done || told < 0 || (told == room && told != 0)) return told;
    if (!is_timeout(wait)) {
      errno = EINVAL;
      return -1;
    }
    if (room == 0) return 0;
  }
  const limit until = limit_of(wait);
  for (int failed = 0;;) {
    bool unseen = false;  // another thread triggers, or an ACK comes
    {
      const guard held;
      queue& of = all().queues[queue_fd];
      const int got = take(queue_fd, of, into + told, room - told);
      if (got + told != 0 || (until && clock::now() >= *until)) return got + told;
      if (all().how.wakes_spuriously && all().random.chance(0.125))
        return all().random.chance(0.5) ? report_spuriously(of, into) : 0;
      unseen = std::any_of(of.notes.begin(), of.notes.end(), [](const auto& one) {
        return one.first.second == EVFILT_USER ||
               (all().how.acks_wake && one.first.second == EVFILT_WRITE);
      });
    }
    if (!sleep(queue_fd, until, unseen, failed)) {
      errno = failed;
      return -1;
    }
  }
}

}  // namespace
}  // namespace hinge::test::kevent_model

using namespace hinge::test::kevent_model;

extern "C" int kqueue() {
  const int made = epoll_create1(0);
  if (made < 0) return -1;
  const guard held;
  all().queues[made] = {};
  return made;
}

extern "C" int kevent(int queue, const struct kevent* changes, int change_count,
                      struct kevent* into, int room, const timespec* wait) {
  return call(queue, changes, change_count, into, room, wait);
}
