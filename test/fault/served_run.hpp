// A loop that serves clients of every kind while one thing goes wrong.
#pragma once

#include "conformance/tested_backend.hpp"
#include "simulator/call_hooks.hpp"
#ifdef HINGE_HAVE_URING
#include "simulator/ring_hooks.hpp"
#endif

#include "support/accounts.hpp"
#include "support/descriptors.hpp"
#include "support/sized.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hinge::test {

/// What can go wrong: a system call; and on io_uring a call to the ring, or a request in it.
struct fault_site {
  enum class kind : std::uint8_t { call, ring_call, request };

  constexpr fault_site(call_id what)
      : of(kind::call), index(static_cast<std::uint8_t>(what)), name(call_names[index]) {}
#ifdef HINGE_HAVE_URING
  constexpr fault_site(ring_call_id what)
      : of(kind::ring_call), index(static_cast<std::uint8_t>(what)), name(ring_call_names[index]) {}
  constexpr fault_site(io_uring_op what, std::string_view called)
      : of(kind::request), index(static_cast<std::uint8_t>(what)), name(called) {}
#endif
  friend constexpr bool operator==(const fault_site& a, const fault_site& b) {
    return a.of == b.of && a.index == b.index;
  }

  kind of;
  std::uint8_t index;
  std::string_view name;
};

/// From its `nth` on for `times` times, while it is in force.
struct fault {
  fault_site what;
  int code = 0;
  std::uint64_t nth = 1;
  std::uint64_t times = 1;
  /// Of a request: it ends with its first completion; a send takes no more bytes than that; or it
  /// is its completion number `nth` after which it fails.
  bool lone = false;
  std::uint32_t length = 0;
  bool when_armed = false;
};

inline std::string text(const fault& wrong) {
  std::string all(wrong.what.name);
  if (wrong.code != 0) all += wrong.when_armed ? " is ended by " : " fails with ";
  if (wrong.code != 0) all += errno_name(wrong.code);
  if (wrong.lone) all += " is for one answer";
  if (wrong.length != 0) all += " is cut to " + std::to_string(wrong.length);
  return all + ", number " + std::to_string(wrong.nth) + ", " + std::to_string(wrong.times) +
         " times";
}

/// All calls and requests of a run, some of which go wrong.
class faulty_system {
public:
  explicit faulty_system(const std::optional<fault>& wrong)
      : wrong_(wrong), calls_([this](call_id what, std::uint64_t) { return -decide(what).code; }) {
#ifdef HINGE_HAVE_URING
    if (wrong_ && wrong_->when_armed)
      rings_.end_after(wrong_->what.index, wrong_->nth, wrong_->code);
#endif
  }

  void begin() { in_force_ = true; }
  void end() { in_force_ = false; }
  std::uint64_t made(const fault_site& what) const {
    return made_[static_cast<std::size_t>(what.of)][what.index];
  }
  std::uint64_t failed() const {
#ifdef HINGE_HAVE_URING
    if (wrong_ && wrong_->when_armed) return rings_.has_ended();
#endif
    return failed_;
  }
  /// What was closed under a request.
  std::size_t violations() const {
#ifdef HINGE_HAVE_URING
    return rings_.violations().size();
#else
    return 0;
#endif
  }
  /// io_uring: completions come in any order, some of them late.
  void stir([[maybe_unused]] std::uint64_t seed) {
#ifdef HINGE_HAVE_URING
    rings_.reorder(seed);
    rings_.delay(seed);
#endif
  }

private:
  /// The fault, when it is this one's turn; else one without effect.
  fault decide(const fault_site& what) {
    const fault none{.what = what};
    if (!in_force_) return none;
    const std::uint64_t nth = ++made_[static_cast<std::size_t>(what.of)][what.index];
    if (!wrong_ || wrong_->when_armed || !(what == wrong_->what) || nth < wrong_->nth ||
        nth >= wrong_->nth + wrong_->times)
      return none;
    ++failed_;
    return *wrong_;
  }

  std::optional<fault> wrong_;
  bool in_force_ = false;
  std::uint64_t failed_ = 0;
  std::array<std::array<std::uint64_t, 256>, 3> made_{};
  call_hooks calls_;
#ifdef HINGE_HAVE_URING
  ring_hooks rings_{[this](const request_seen& seen, std::uint64_t) -> request_fate {
                      const fault found = decide({static_cast<io_uring_op>(seen.opcode), ""});
                      return {.code = found.code, .length = found.length, .lone = found.lone};
                    },
                    [this](ring_call_id what, std::uint64_t) { return -decide(what).code; }};
#endif
};

inline const std::string large = pattern(300'000);

/// What the server does is in the first byte: e echoes, f finishes with a large reply, l with a
/// small one, a aborts, s ends its side and waits, q closes.
inline void serve(connection c, std::span<std::byte> bytes) {
  switch (static_cast<char>(bytes.front())) {
    case 'f':
      c.finish(bytes_of(large));
      break;
    case 'l':
      c.finish(bytes);
      break;
    case 'a':
      c.abort();
      break;
    case 's':
      c.shutdown_write();
      break;
    default:
      c.send(bytes);
  }
}

class served_run {
public:
  served_run(const tested_backend& on, const std::optional<fault>& wrong, const address& where)
      : completes_(on.completes),
        where_(where),
        wrong_(wrong),
        system(wrong),
        running(on.make_loop()) {
    running->handler().does.data = serve;
  }
  ~served_run() {
    running.reset();
    if (!broken_) CHECK(system.violations() == 0);
  }

  /// False when it did not open, and said why.
  bool open();
  /// Clients of every kind, while the fault is in force.
  void serve_clients();
  /// The same again, as long as each time brings the fault nearer.
  void serve_until_fault();
  /// Clients who are answered and go, in crowds, until the fault has come to pass. Who waits for a
  /// descriptor then gets one.
  void serve_crowds_until_fault(std::size_t crowd);
  /// The fault is over: the next client is served, or the listener's death was told.
  void serve_another();
  /// One client is left, nothing happens, and it sleeps.
  void be_quiet();
  void serve_all() {
    serve_until_fault();
    serve_another();
    be_quiet();
  }
  void drain();
  /// A turn has failed: the loop is at its end.
  bool broken() const { return broken_; }

private:
  static constexpr int most_turns = 1500;
  static constexpr instant longest_hang = 1'000'000'000;

  template <class Done>
  bool until(Done done, int turns = most_turns);
  void turn(nanoseconds most = std::chrono::milliseconds(2));
  std::unique_ptr<client> connect(std::string_view first);
  bool may_break() const;

  const bool completes_;
  const address where_;
  std::optional<fault> wrong_;
  bool broken_ = false;
  unsigned turns_ = 0;
  std::vector<std::unique_ptr<client>> clients_;

public:
  faulty_system system;
  std::unique_ptr<tested_loop> running;
};

/// The call that a readiness backend waits in.
inline bool waits_in(const fault_site& what) {
#ifdef HINGE_HAVE_EPOLL
  if (what == call_id::epoll_wait) return true;
#endif
  return what == call_id::kevent;
}

/// Whether a turn may tell of the fault.
inline bool served_run::may_break() const {
  return wrong_ && (waits_in(wrong_->what) || wrong_->what.of == fault_site::kind::ring_call);
}

inline void served_run::turn(nanoseconds most) {
  // Some don't wait.
  const bool waits = ++turns_ % 4 != 0;
  const int turned =
      running->turn(waits ? deadline::after(running->base().now(), most) : deadline::immediately());
  if (turned < 0) CHECK((may_break() && turned == -wrong_->code));
  // A wait that failed has lost nothing on a readiness backend.
  broken_ |= turned < 0 && completes_;
  CHECK(wrong_in_accounts(running->base()) == "");
  for (const auto& one : clients_) one->listen_in();
}

template <class Done>
bool served_run::until(Done done, int turns) {
  for (; turns != 0 && !broken_ && !done(); --turns) turn();
  return broken_ || done();
}

inline std::unique_ptr<client> served_run::connect(std::string_view first) {
  auto made = connect_client(running->base().listener_at(0).local());
  if (made) made->send(first);
  return made;
}

inline bool served_run::open() {
  system.begin();
  const bool asks = wrong_ && wrong_->what == call_id::getrlimit;
  result<void> opened = running->open({.max_connections = asks ? 0U : 16U});
  if (opened) {
    constexpr int small = 32 * 1024;
    const listener_options of_tcp{.send_buffer_bytes = small, .receive_buffer_bytes = small};
    const auto listening =
        running->base().listen(where_, where_.is_inet() ? of_tcp : listener_options());
    if (!listening) opened = fail(listening.error());
  }
  system.end();
  if (opened) return true;
  REQUIRE(wrong_);
  INFO(opened.error().text());
  CHECK(opened.error().code() == wrong_->code);
  CHECK(std::string_view(opened.error().call()) != "");
  // The first turn of the poller, an option, and calls to a ring are named by what they are for.
  // So are the steps that stand for one call where a system lacks it.
  const bool named_so = waits_in(wrong_->what) || wrong_->what == call_id::setsockopt ||
                        wrong_->what == call_id::fcntl;
  if (wrong_->what.of == fault_site::kind::call && !named_so)
    CHECK(opened.error().call() == wrong_->what.name);
  return false;
}

inline void served_run::serve_clients() {
  system.begin();
  clients_.clear();
  for (const std::string_view first : {"echo", "finish", "abort", "shut", "end", "last"}) {
    auto made = connect(first);
    REQUIRE(made);
    clients_.push_back(std::move(made));
  }
  const std::string more = "e" + large;
  std::size_t given = 0;
  // As far as it gets: the server may have lost any of them, unless nothing has failed.
  const bool harmless = !wrong_ || wrong_->code == 0;
  until(
      [&] {
        given += clients_[0]->send(std::string_view(more).substr(given));
        if (clients_[0]->received().size() == 4 + more.size()) clients_[0]->shutdown();
        if (clients_[4]->received() == "end") clients_[4]->shutdown();
        if (clients_[3]->ended()) clients_[3]->shutdown();
        return std::all_of(clients_.begin(), clients_.end(),
                           [](const auto& one) { return one->ended() || one->was_reset(); });
      },
      harmless ? most_turns : 150);
  if (harmless) {
    CHECK(clients_[0]->received() == "echo" + more);
    CHECK(clients_[1]->received() == large);
    CHECK(clients_[2]->was_reset());
    CHECK(clients_[3]->ended());
    CHECK(clients_[4]->received() == "end");
    CHECK(clients_[5]->received() == "last");
  }
  system.end();
}

inline void served_run::serve_until_fault() {
  std::uint64_t made = 0;
  do {
    made = wrong_ ? system.made(wrong_->what) : 0;
    serve_clients();
  } while (wrong_ && !broken_ && system.failed() == 0 && system.made(wrong_->what) > made &&
           system.made(wrong_->what) < wrong_->nth);
}

inline void served_run::serve_crowds_until_fault(std::size_t crowd) {
  const auto has_answer = [](const auto& one) {
    return one->received() == "echo" || one->ended() || one->was_reset();
  };
  std::unique_ptr<client> spare = connect("echo");
  system.begin();
  for (std::uint64_t came = 0; system.failed() == 0; came += crowd) {
    REQUIRE((wrong_ && came <= wrong_->nth * crowd));
    clients_.clear();
    std::vector<std::unique_ptr<client>> next;
    while (next.size() < crowd) next.push_back(connect("echo"));
    const loop_counters& counters = running->base().counters();
    const std::uint64_t all = counters.accepted + crowd;
    CHECK(until([&] {
      if (system.failed() != 0) spare.reset();
      return counters.accepted >= all || counters.listeners_died != 0;
    }));
    clients_ = std::move(next);
    CHECK(until([&] {
      return counters.listeners_died != 0 ||
             std::all_of(clients_.begin(), clients_.end(), has_answer);
    }));
  }
  system.end();
}

inline void served_run::serve_another() {
  if (running->base().counters().listeners_died != 0) {
    REQUIRE(running->handler().errors.size() == 1);
    CHECK(running->handler().errors[0].second == -wrong_->code);
    return;
  }
  clients_.clear();
  clients_.push_back(connect("hello"));
  REQUIRE(clients_.front());
  const instant begin = running->base().now();
  CHECK(until([&] { return clients_.front()->received() == "hello"; }));
  if (full_size()) CHECK(running->base().now() - begin <= longest_hang);
  CHECK(until([&] { return running->base().open_connections() == 1; }));
}

/// Whoever asks again and again for what he can't have makes hundreds of turns in that time.
inline void served_run::be_quiet() {
  const instant end = running->base().now() + 3'000'000;
  int turns = 0;
  for (; turns < 40 && !broken_ && running->base().now() < end; ++turns)
    turn(nanoseconds(end - running->base().now()));
  CHECK(turns < 40);
}

inline void served_run::drain() {
  clients_.clear();
  running->drain(std::chrono::milliseconds(100));
  CHECK(until([&] { return running->base().finished(); }));
  if (broken_) return;
  for (const heard& one : running->handler().all) CHECK(one.closes == 1);
}

/// A whole life: it opens, does `what`, and drains; returns how often the fault came to pass.
template <class What>
std::uint64_t live(const tested_backend& on, const std::optional<fault>& wrong,
                   const address& where, What what) {
  INFO((wrong ? text(*wrong) : "nothing goes wrong"));
  const std::size_t descriptors = open_descriptors();
  std::uint64_t failed = 0;
  {
    served_run run(on, wrong, where);
    const bool opened = run.open();
    if (opened) {
      what(run);
      run.drain();
    }
    failed = run.system.failed();
    CHECK((opened || failed != 0));
  }
  CHECK(open_descriptors() == descriptors);
  return failed;
}

/// With clients of every kind.
inline std::uint64_t live_through(const tested_backend& on, const std::optional<fault>& wrong) {
  return live(on, wrong, address::loopback(0), [](served_run& run) { run.serve_all(); });
}

}  // namespace hinge::test
