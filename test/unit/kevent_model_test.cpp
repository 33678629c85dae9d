// The model itself: each case names the sentence of a manual page (kqueue(2) of FreeBSD) or the row
// of what was seen of FreeBSD (F), NetBSD (N) and libkqueue (L) that it stands for.
#include "kevent_model/model.hpp"

#include <hinge/fd.hpp>
#include <hinge/listener.hpp>

#include "support/listening.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace hinge;
using namespace hinge::test;
using kevent_model::behave;
using kevent_model::behaviour;
using kevent_model::calm;

namespace {

using kernel_event = struct ::kevent;
constexpr timespec at_once{};

kernel_event change(int fd, short filter, int flags, std::uintptr_t name = 1, unsigned fflags = 0) {
  return {static_cast<std::uintptr_t>(fd), filter, static_cast<unsigned short>(flags), fflags, 0,
          reinterpret_cast<void*>(name)};
}

/// A queue, and two connected sockets.
struct scene {
  explicit scene(const behaviour& how = calm()) : queue((behave(how), ::kqueue())) {
    int both[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
    here.reset(both[0]);
    there.reset(both[1]);
  }
  ~scene() { behave({}); }
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;

  /// What a call returns, at most `room`; -1 as an event of its own.
  std::vector<kernel_event> call(const std::vector<kernel_event>& changes, int room = 8,
                                 const timespec* wait = &at_once) {
    std::vector<kernel_event> into(static_cast<std::size_t>(room));
    const int count = ::kevent(queue.get(), changes.data(), static_cast<int>(changes.size()),
                               into.data(), room, wait);
    failed = count < 0 ? errno : 0;
    into.resize(static_cast<std::size_t>(std::max(count, 0)));
    return into;
  }
  kernel_event reading(int flags, std::uintptr_t name = 1) const {
    return change(here.get(), EVFILT_READ, flags, name);
  }
  void say(std::string_view what) const {
    REQUIRE(::write(there.get(), what.data(), what.size()) == static_cast<ssize_t>(what.size()));
  }

  unique_fd queue;
  unique_fd here;
  unique_fd there;
  int failed = 0;
};

std::uintptr_t name_of(const kernel_event& one) {
  return reinterpret_cast<std::uintptr_t>(one.udata);
}

/// A connection over TCP, accepted.
struct tcp_pair {
  tcp_pair() {
    const listener door = *listener::open(address::loopback(0));
    there = connected(door.local());
    here.reset(::accept(door.fd(), nullptr, nullptr));
    REQUIRE(here);
  }
  unique_fd here;
  unique_fd there;
};

}  // namespace

TEST_CASE("FreeBSD: an error in the change list takes a slot, and the others apply") {
  scene at;
  at.say("x");
  const auto told = at.call({at.reading(EV_DELETE), at.reading(EV_ADD)});
  REQUIRE(told.size() == 1);
  CHECK(told[0].flags == EV_ERROR);
  CHECK(told[0].data == ENOENT);
  CHECK(told[0].ident == static_cast<std::uintptr_t>(at.here.get()));
}

TEST_CASE("row: errors only, events at the next call (F, N); together (L)") {
  for (const bool alone : {true, false}) {
    behaviour how = calm();
    how.errors_come_alone = alone;
    scene at(how);
    at.say("x");
    const auto told = at.call({change(at.there.get(), EVFILT_READ, EV_DELETE), at.reading(EV_ADD)});
    CHECK(told.size() == (alone ? 1 : 2));
    CHECK(at.call({}).size() == 1);
  }
}

TEST_CASE("row: two changes, the first bad, no event slots: -1, and the second is not applied") {
  scene at;
  at.say("x");
  at.call({at.reading(EV_DELETE), at.reading(EV_ADD)}, 0);
  CHECK(at.failed == ENOENT);
  CHECK(at.call({}).empty());
}

TEST_CASE("FreeBSD: EV_RECEIPT: EV_ERROR with data 0 for what succeeds, and no ready event") {
  scene at;
  at.say("x");
  const auto told = at.call({at.reading(EV_ADD | EV_RECEIPT)}, 8, nullptr);
  REQUIRE(told.size() == 1);
  CHECK(told[0].flags == EV_ERROR);
  CHECK(told[0].data == 0);
  // No slot left: what is behind it waits for a call of its own.
  kernel_event writing = change(at.here.get(), EVFILT_WRITE, EV_ADD | EV_RECEIPT);
  CHECK(at.call({at.reading(EV_ADD | EV_RECEIPT), writing, writing}, 1).size() == 1);
}

TEST_CASE("row: returned flags without EV_ADD; EV_CLEAR: reported once") {
  scene at;
  at.say("abc");
  const auto told = at.call({at.reading(EV_ADD | EV_CLEAR)});
  REQUIRE(told.size() == 1);
  CHECK(told[0].flags == EV_CLEAR);
  CHECK(told[0].data == 3);
  CHECK(at.call({}).empty());
  at.say("d");
  CHECK(at.call({}).size() == 1);
}

TEST_CASE(
    "FreeBSD: EV_CLEAR resets the state after it is retrieved; without, reported while it is so") {
  scene at;
  at.say("x");
  CHECK(at.call({at.reading(EV_ADD)}).size() == 1);
  CHECK(at.call({}).size() == 1);
  char byte;
  CHECK(::read(at.here.get(), &byte, 1) == 1);
  CHECK(at.call({}).empty());
}

TEST_CASE("row: the same udata in every change, for it is what the last change said") {
  scene at;
  at.call({at.reading(EV_ADD, 1)});
  at.call({at.reading(EV_ENABLE, 2)});
  at.say("x");
  const auto told = at.call({});
  REQUIRE(told.size() == 1);
  CHECK(name_of(told[0]) == 2);
}

TEST_CASE("row: EV_ADD again while data is unread: an event (F, N), no event (L)") {
  for (const bool reports : {true, false}) {
    behaviour how = calm();
    how.adding_again_reports = reports;
    scene at(how);
    at.say("x");
    CHECK(at.call({at.reading(EV_ADD | EV_CLEAR)}).size() == 1);
    CHECK(at.call({at.reading(EV_ADD | EV_CLEAR)}).size() == (reports ? 1 : 0));
  }
}

TEST_CASE("row: EV_DISPATCH then EV_ENABLE alone, data unread: no event (N)") {
  for (const bool loses : {true, false}) {
    behaviour how = calm();
    how.enable_loses_event = loses;
    scene at(how);
    at.say("x");
    CHECK(at.call({at.reading(EV_ADD | EV_DISPATCH)}).size() == 1);
    CHECK(at.call({}).empty());
    CHECK(at.call({at.reading(EV_ENABLE)}).size() == (loses ? 0 : 1));
    if (loses) CHECK(at.call({at.reading(EV_ADD | EV_ENABLE)}).size() == 1);
  }
}

TEST_CASE("FreeBSD: EV_DELETE: no event any more; EV_ONESHOT: the first occurrence alone") {
  scene at;
  at.say("x");
  at.call({at.reading(EV_ADD), at.reading(EV_DELETE)});
  CHECK(at.call({}).empty());
  CHECK(at.call({at.reading(EV_ADD | EV_ONESHOT)}).size() == 1);
  CHECK(at.call({at.reading(EV_DELETE)})[0].data == ENOENT);
}

TEST_CASE("FreeBSD: closing a descriptor deletes its events") {
  scene at;
  at.call({at.reading(EV_ADD)});
  at.say("x");
  const unique_fd copy(::dup(at.here.get()));  // the file stays open
  const int number = at.here.release();
  ::close(number);
  CHECK(at.call({}).empty());
  // Nor does the number's next owner inherit them.
  const unique_fd next(::dup2(at.there.get(), number));
  CHECK(at.call({}).empty());
  const auto told = at.call({change(number, EVFILT_READ, EV_DELETE)});
  REQUIRE(told.size() == 1);
  CHECK(told[0].data == ENOENT);
}

TEST_CASE("row: EV_ADD and EV_DELETE of a closed descriptor: EBADF (F, N)") {
  scene at;
  at.call({at.reading(EV_ADD)});
  const kernel_event again = at.reading(EV_ADD);
  const kernel_event without = at.reading(EV_DELETE);
  at.here.reset();
  for (const kernel_event& one : {again, without}) {
    const auto told = at.call({one});
    REQUIRE(told.size() == 1);
    CHECK(told[0].data == EBADF);
  }
}

TEST_CASE("row: EV_ADD and EV_DELETE of a closed descriptor: 0 (L); EV_DELETE before close") {
  behaviour how = calm();
  how.keeps_closed = true;
  scene at(how);
  at.call({at.reading(EV_ADD | EV_CLEAR)});
  const int number = at.here.release();
  ::close(number);
  CHECK(at.call({change(number, EVFILT_READ, EV_ADD | EV_CLEAR)}).empty());
  CHECK(at.failed == 0);
  // The number's next owner hears nothing, and nothing helps it.
  unique_fd next(::dup2(at.there.get(), number));
  const tcp_pair pair;
  REQUIRE(::dup2(pair.here.get(), number) == number);
  REQUIRE(::write(pair.there.get(), "x", 1) == 1);
  CHECK(at.call({change(number, EVFILT_READ, EV_ADD | EV_CLEAR)}).empty());
  CHECK(at.call({change(number, EVFILT_READ, EV_DELETE)}).size() == 1);
  CHECK(at.call({change(number, EVFILT_READ, EV_ADD | EV_CLEAR)}).empty());
  // Until it is closed, too, and then deleted.
  next.reset();
  CHECK(at.call({change(number, EVFILT_READ, EV_DELETE)}).empty());
  REQUIRE(::dup2(pair.here.get(), number) == number);
  next.reset(number);
  CHECK(at.call({change(number, EVFILT_READ, EV_ADD | EV_CLEAR)}).size() == 1);
}

TEST_CASE("row: a listener's data: 3 with 3 pending (F, N), 1 (L)") {
  for (const bool counts : {true, false}) {
    behaviour how = calm();
    how.counts_waiting = counts;
    scene at(how);
    const listener door = *listener::open(address::loopback(0));
    const std::array peers = {connected(door.local()), connected(door.local()),
                              connected(door.local())};
    const auto told = at.call({change(door.fd(), EVFILT_READ, EV_ADD)});
    REQUIRE(told.size() == 1);
    CHECK(told[0].data == (counts ? 3 : 1));
  }
}

TEST_CASE("row: a FIN with 3 bytes unread: EV_EOF, data 3, fflags 0") {
  scene at;
  const tcp_pair pair;
  REQUIRE(::write(pair.there.get(), "abc", 3) == 3);
  ::shutdown(pair.there.get(), SHUT_WR);
  const auto told = at.call({change(pair.here.get(), EVFILT_READ, EV_ADD | EV_CLEAR)});
  REQUIRE(told.size() == 1);
  CHECK((told[0].flags & EV_EOF) != 0);
  CHECK(told[0].data == 3);
  CHECK(told[0].fflags == 0);
}

TEST_CASE("row: reset by peer: EV_EOF with ECONNRESET; SO_ERROR then 0 (L), still set (F, N)") {
  for (const bool takes : {true, false}) {
    behaviour how = calm();
    how.takes_error = takes;
    scene at(how);
    tcp_pair pair;
    at.call({change(pair.here.get(), EVFILT_READ, EV_ADD | EV_CLEAR),
             change(pair.here.get(), EVFILT_WRITE, EV_ADD | EV_CLEAR)});
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(pair.there.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    pair.there.reset();
    const auto told = at.call({});
    REQUIRE(told.size() == 2);
    for (const kernel_event& one : told) {
      CHECK((one.flags & EV_EOF) != 0);
      CHECK(one.fflags == ECONNRESET);
    }
    int pending = 0;
    socklen_t length = sizeof pending;
    ::getsockopt(pair.here.get(), SOL_SOCKET, SO_ERROR, &pending, &length);
    CHECK(pending == (takes ? 0 : ECONNRESET));
  }
}

TEST_CASE("FreeBSD: EVFILT_WRITE: data is the space that remains; after one's own end EV_EOF") {
  scene at;
  const tcp_pair pair;
  const kernel_event writing = change(pair.here.get(), EVFILT_WRITE, EV_ADD);
  auto told = at.call({writing});
  REQUIRE(told.size() == 1);
  CHECK(told[0].data > 0);
  CHECK((told[0].flags & EV_EOF) == 0);
  ::shutdown(pair.here.get(), SHUT_WR);
  told = at.call({});
  REQUIRE(told.size() == 1);
  CHECK((told[0].flags & EV_EOF) != 0);
  CHECK(told[0].fflags == 0);
}

TEST_CASE("FreeBSD: EVFILT_USER: NOTE_TRIGGER by another thread ends a wait, once with EV_CLEAR") {
  scene at;
  at.call({change(0, EVFILT_USER, EV_ADD | EV_CLEAR, 7)});
  std::thread other([&] {
    const kernel_event trigger = change(0, EVFILT_USER, 0, 7, NOTE_TRIGGER);
    ::kevent(at.queue.get(), &trigger, 1, nullptr, 0, &at_once);
  });
  const auto told = at.call({}, 8, nullptr);
  other.join();
  REQUIRE(told.size() == 1);
  CHECK(name_of(told[0]) == 7);
  CHECK(at.call({}).empty());
}

TEST_CASE("row: EVFILT_USER is missing on some") {
  behaviour how = calm();
  how.has_user_events = false;
  scene at(how);
  const auto told = at.call({change(0, EVFILT_USER, EV_ADD)});
  REQUIRE(told.size() == 1);
  CHECK(told[0].data == EINVAL);
}

TEST_CASE("row: returned flags contain EV_ADD: no (F), yes (L, N)") {
  for (const bool returns : {true, false}) {
    behaviour how = calm();
    how.returns_add = returns;
    scene at(how);
    at.say("x");
    const auto told = at.call({at.reading(EV_ADD | EV_CLEAR)});
    REQUIRE(told.size() == 1);
    CHECK(told[0].flags == (returns ? EV_ADD | EV_CLEAR : EV_CLEAR));
    // L: a receipt has its change's own bits besides.
    const auto receipt = at.call({at.reading(EV_ADD | EV_CLEAR | EV_RECEIPT)}, 1);
    REQUIRE(receipt.size() == 1);
    CHECK((receipt[0].flags & EV_ERROR) != 0);
    CHECK((receipt[0].flags == EV_ERROR) == !returns);
  }
}

TEST_CASE("FreeBSD: EINVAL: the specified time limit is invalid; the changes have been made") {
  for (const timespec& wait :
       {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}, timespec{100'000'001, 0}}) {
    scene at;
    at.say("x");
    CHECK(at.call({at.reading(EV_ADD)}, 8, &wait).empty());
    CHECK(at.failed == EINVAL);
    CHECK(at.call({}).size() == 1);
  }
}

TEST_CASE("FreeBSD: EVFILT_WRITE with EV_CLEAR: each ACK makes room, and so an event") {
  scene at;
  const tcp_pair pair;
  CHECK(at.call({change(pair.here.get(), EVFILT_WRITE, EV_ADD | EV_CLEAR)}).size() == 1);
  CHECK(at.call({}).empty());
  REQUIRE(::write(pair.here.get(), "x", 1) == 1);
  REQUIRE(::write(pair.there.get(), "y", 1) == 1);
  CHECK(at.call({}).size() == 1);
  CHECK(at.call({}).empty());
}

TEST_CASE("FreeBSD: sowakeup looks at the write filter after each ACK, with nothing else to tell") {
  for (behaviour how = calm(); const bool wakes : {true, false}) {
    how.acks_wake = wakes;
    scene at(how);
    const tcp_pair pair;
    at.call({change(pair.here.get(), EVFILT_WRITE, EV_ADD | EV_CLEAR)});
    REQUIRE(::write(pair.here.get(), "x", 1) == 1);
    for (int unsent = 1; unsent != 0;) REQUIRE(::ioctl(pair.here.get(), TIOCOUTQ, &unsent) == 0);
    CHECK(at.call({}).size() == (wakes ? 1 : 0));
  }
}

TEST_CASE("FreeBSD: an error of a socket that can still be read from: an event without EV_EOF") {
  behaviour how = calm();
  how.errors_lack_end = true;
  scene at(how);
  tcp_pair pair;
  at.call({change(pair.here.get(), EVFILT_READ, EV_ADD | EV_CLEAR)});
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(pair.there.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  pair.there.reset();
  const auto told = at.call({});
  REQUIRE(told.size() == 1);
  CHECK(told[0].flags == EV_CLEAR);
  CHECK(told[0].data == 0);
  CHECK(told[0].fflags == 0);
}

TEST_CASE("FreeBSD: at most nevents, in no promised order; harsher: by the seed, and of nothing") {
  std::set<std::vector<std::size_t>> seen;
  std::set<std::string> texts;
  for (const std::uint64_t seed : {5, 6, 5}) {
    scene at({.seed = seed});
    std::array<tcp_pair, 6> pairs;
    std::vector<kernel_event> changes;
    for (std::size_t i = 0; i < pairs.size(); ++i)
      changes.push_back(change(pairs[i].here.get(), EVFILT_WRITE, EV_ADD, i));
    std::vector<std::size_t> order;
    for (int i = 0; i < 20; ++i) {
      const auto told = at.call(std::exchange(changes, {}));
      order.push_back(100 + told.size());
      for (const kernel_event& one : told) order.push_back(name_of(one));
    }
    seen.insert(order);
    texts.insert(kevent_model::text());
  }
  CHECK(seen.size() == 2);
  CHECK(texts.size() == 2);
}

TEST_CASE("FreeBSD: a wait that ends with 0; harsher: before its time, or with what is not so") {
  scene at({.listeners_lie = true});
  const tcp_pair pair;
  const listener door = *listener::open(address::loopback(0));
  at.call({at.reading(EV_ADD | EV_CLEAR, 1),
           change(pair.here.get(), EVFILT_WRITE, EV_ADD | EV_CLEAR, 2),
           change(door.fd(), EVFILT_READ, EV_ADD, 3),
           change(0, EVFILT_USER, EV_ADD | EV_CLEAR, 4)});
  at.call({});  // what is so
  std::set<std::uintptr_t> lies;
  for (int i = 0; i < 400; ++i) {
    const timespec soon{0, 100'000};
    for (const kernel_event& one : at.call({}, 8, &soon)) lies.insert(name_of(one));
  }
  CHECK(lies == std::set<std::uintptr_t>{1, 2, 3});
}
