// Each system call that a serving loop makes fails with each errno that its man page knows, at each
// place. Whatever fails: no crash, no leak, no hang, exact accounts, and the next client is served.
#include "conformance/house.hpp"

#include "support/descriptors.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <optional>

using namespace hinge;
using namespace hinge::test;
using namespace std::chrono_literals;

namespace {

struct fault_row {
  call_id what;
  std::vector<int> codes;
};

// From the man pages, without what only a mistake of hinge's own can cause (EBADF, EFAULT, ...),
// and without an EAGAIN that would be a lie: after it an edge-triggered socket owes an edge.
const std::vector<fault_row> while_opening = {
    {call_id::epoll_create1, {EMFILE, ENFILE, ENOMEM}},
    {call_id::eventfd, {EMFILE, ENFILE, ENODEV, ENOMEM}},
    {call_id::epoll_ctl, {ENOMEM, ENOSPC}},
    {call_id::epoll_wait, {EINVAL}},
    {call_id::getrlimit, {EPERM}},
    {call_id::socket, {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}},
    {call_id::bind, {EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM}},
    {call_id::listen, {EADDRINUSE, EOPNOTSUPP}},
    {call_id::getsockname, {ENOBUFS}},
};
const std::vector<fault_row> while_serving = {
    {call_id::accept4,
     {EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO, EPERM, ENETDOWN,
      ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, ENOSR,
      EINVAL}},
    {call_id::recv, {ECONNRESET, ECONNREFUSED, EINTR, ENOMEM, ENOTCONN, ETIMEDOUT}},
    {call_id::send, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM, EACCES, EMSGSIZE}},
    {call_id::sendmsg, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM}},
    {call_id::shutdown, {ENOTCONN, ENOBUFS}},
    {call_id::close, {EINTR, EIO, ENOSPC, EDQUOT}},
    {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}},
    {call_id::getsockopt, {ENOPROTOOPT, ENOBUFS}},
    {call_id::epoll_ctl, {ENOMEM, ENOSPC}},
    {call_id::epoll_wait, {EINTR, EINVAL}},
};

constexpr std::uint64_t most_places = 12;  // of one call, tried one after the other
constexpr int most_turns = 1500;

/// One call that fails, from its `nth` on for `times` times, while it is in force.
struct fault {
  call_id what;
  int code;
  std::uint64_t nth;
  std::uint64_t times = 1;
};

/// The calls of a run, one of which may fail.
class faulty_calls {
public:
  explicit faulty_calls(const std::optional<fault>& wrong)
      : wrong_(wrong), hooks_([this](call_id what, std::uint64_t) { return decide(what); }) {}

  void begin() { in_force_ = true; }
  void end() { in_force_ = false; }
  std::uint64_t made(call_id what) const { return made_[static_cast<std::size_t>(what)]; }
  std::uint64_t failed() const { return failed_; }

private:
  int decide(call_id what) {
    if (!in_force_) return 0;
    const std::uint64_t nth = ++made_[static_cast<std::size_t>(what)];
    if (!wrong_ || what != wrong_->what || nth < wrong_->nth || nth >= wrong_->nth + wrong_->times)
      return 0;
    ++failed_;
    return -wrong_->code;
  }

  std::optional<fault> wrong_;
  bool in_force_ = false;
  std::uint64_t failed_ = 0;
  std::array<std::uint64_t, call_names.size()> made_{};
  call_hooks hooks_;
};

const std::string large = pattern(300'000);

/// What the server does is in the first byte: e echoes, f finishes with a large reply, a aborts, s
/// ends its side and waits, q closes.
void serve(connection c, std::span<std::byte> bytes) {
  switch (static_cast<char>(bytes.front())) {
    case 'f':
      c.finish(bytes_of(large));
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

using serving_loop = loop<epoll_poller, note_taker>;

class served_run {
public:
  explicit served_run(const std::optional<fault>& wrong) : wrong_(wrong), calls(wrong) {
    running.handler().does.data = serve;
  }

  /// False when it did not open, and said why.
  bool open();
  /// Clients of every kind, while the fault is in force.
  void serve_clients();
  /// The fault is over: the next client is served, or the listener's death was told.
  void serve_another();
  void drain();

private:
  template <class Done>
  bool until(Done done, int turns = most_turns);
  void turn();
  std::unique_ptr<client> connect(std::string_view first);

  std::optional<fault> wrong_;
  std::vector<std::unique_ptr<client>> clients_;

public:
  faulty_calls calls;
  serving_loop running;
};

void served_run::turn() {
  const int turned = running.turn(deadline::after(running.now(), 2ms));
  if (turned < 0) CHECK((wrong_ && turned == -wrong_->code && wrong_->what == call_id::epoll_wait));
  const loop_counters& counted = running.counters();
  CHECK(counted.accepted == running.open_connections() + counted.closed_total() + counted.shed);
  for (const auto& one : clients_) one->listen_in();
}

template <class Done>
bool served_run::until(Done done, int turns) {
  for (; turns != 0 && !done(); --turns) turn();
  return done();
}

std::unique_ptr<client> served_run::connect(std::string_view first) {
  auto made = connect_client(running.listener_at(0).local());
  if (made) made->send(first);
  return made;
}

bool served_run::open() {
  calls.begin();
  result<void> opened =
      running.open({.max_connections = wrong_ && wrong_->what == call_id::getrlimit ? 0U : 16U});
  if (opened) {
    const auto listening = running.listen(
        address::loopback(0), {.send_buffer_bytes = 32 * 1024, .receive_buffer_bytes = 32 * 1024});
    if (!listening) opened = fail(listening.error());
  }
  calls.end();
  if (opened) return true;
  REQUIRE(wrong_);
  INFO(opened.error().text());
  CHECK(opened.error().code() == wrong_->code);
  CHECK(std::string_view(opened.error().call()) != "");
  // The first turn of the poller, and an option, are named by what they are for.
  if (wrong_->what != call_id::epoll_wait && wrong_->what != call_id::setsockopt)
    CHECK(opened.error().call() == call_names[static_cast<std::size_t>(wrong_->what)]);
  return false;
}

void served_run::serve_clients() {
  calls.begin();
  for (const std::string_view first : {"echo", "finish", "abort", "shut", "end"}) {
    auto made = connect(first);
    REQUIRE(made);
    clients_.push_back(std::move(made));
  }
  const std::string more = "e" + large;
  std::size_t given = 0;
  // As far as it gets: the server may have lost any of them.
  until(
      [&] {
        given += clients_[0]->send(std::string_view(more).substr(given));
        if (clients_[0]->received().size() == 4 + more.size()) clients_[0]->shutdown();
        if (clients_[4]->received() == "end") clients_[4]->shutdown();
        if (clients_[3]->ended()) clients_[3]->shutdown();
        return std::all_of(clients_.begin(), clients_.end(),
                           [](const auto& one) { return one->ended() || one->was_reset(); });
      },
      150);
  if (!wrong_) {
    CHECK(clients_[0]->received() == "echo" + more);
    CHECK(clients_[1]->received() == large);
    CHECK(clients_[2]->was_reset());
    CHECK(clients_[3]->ended());
    CHECK(clients_[4]->received() == "end");
  }
  calls.end();
}

void served_run::serve_another() {
  if (running.counters().listeners_died != 0) {
    REQUIRE(running.handler().errors.size() == 1);
    CHECK(running.handler().errors[0].second == -wrong_->code);
    return;
  }
  auto next = connect("hello");
  REQUIRE(next);
  CHECK(until([&] {
    next->listen_in();
    return next->received() == "hello";
  }));
}

void served_run::drain() {
  clients_.clear();
  running.drain(100ms);
  CHECK(until([&] { return running.finished(); }));
  for (const heard& one : running.handler().all) CHECK(one.closes == 1);
}

/// A whole life; returns how often the call of the fault failed.
std::uint64_t live_through(const fault& wrong) {
  INFO(call_names[static_cast<std::size_t>(wrong.what)] << " fails with " << errno_name(wrong.code)
                                                        << ", from call " << wrong.nth << " on, "
                                                        << wrong.times << " times");
  const std::size_t descriptors = open_descriptors();
  std::uint64_t failed = 0;
  {
    served_run run(wrong);
    const bool opened = run.open();
    if (opened) {
      run.serve_clients();
      run.serve_another();
      run.drain();
    }
    failed = run.calls.failed();
    CHECK((opened || failed != 0));
  }
  CHECK(open_descriptors() == descriptors);
  return failed;
}

void fail_everywhere(const fault_row& row, std::uint64_t places = most_places,
                     std::uint64_t times = 1) {
  for (const int code : row.codes) {
    for (std::uint64_t nth = 1; nth <= places; ++nth)
      if (live_through({row.what, code, nth, times}) == 0) break;
  }
}

}  // namespace

TEST_CASE("fault: without one everybody is served") {
  const std::size_t descriptors = open_descriptors();
  {
    served_run run(std::nullopt);
    REQUIRE(run.open());
    run.serve_clients();
    run.serve_another();
    run.drain();
    // The rows below are about calls that are made.
    for (const fault_row& row : while_serving) {
      CAPTURE(call_names[static_cast<std::size_t>(row.what)]);
      CHECK(run.calls.made(row.what) != 0);
    }
  }
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("fault: while opening") {
  for (const fault_row& row : while_opening) fail_everywhere(row);
}

TEST_CASE("fault: while serving, once") {
  for (const fault_row& row : while_serving) fail_everywhere(row);
}

TEST_CASE("fault: accepting, several times in a row") {
  fail_everywhere({call_id::accept4, {EMFILE, ECONNABORTED, EPERM}}, 3, 3);
}
