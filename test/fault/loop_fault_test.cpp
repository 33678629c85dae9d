// Each system call that a serving loop makes, and on io_uring each call to the ring and each
// request, fails with each errno that its man page knows, at each place. Whatever fails: no crash,
// no leak, no hang, no spin, exact accounts, and the next client is served.
#include "fault/served_run.hpp"

#ifdef HINGE_HAVE_URING
#include "uring_probe.hpp"
#endif

#include <cerrno>
#include <tuple>

using namespace hinge;
using namespace hinge::test;

namespace {

struct fault_row {
  fault_site what;
  std::vector<int> codes;
};
using fault_rows = std::vector<fault_row>;

// From the man pages, without what only a mistake of hinge's own can cause (EBADF, EFAULT, ...),
// and without an EAGAIN that would be a lie: after it an edge-triggered socket owes an edge.
const std::vector<int> codes_of_accept = {
    EAGAIN,     ECONNABORTED, EINTR,     EMFILE,      ENFILE,    ENOBUFS, ENOMEM,
    EPROTO,     EPERM,        ENETDOWN,  ENOPROTOOPT, EHOSTDOWN, ENONET,  EHOSTUNREACH,
    EOPNOTSUPP, ENETUNREACH,  ETIMEDOUT, ENOSR,       EINVAL};
const fault_rows opening_a_listener = {
    {call_id::getrlimit, {EPERM}},
    {call_id::socket, {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}},
    {call_id::bind, {EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM}},
    {call_id::listen, {EADDRINUSE, EOPNOTSUPP}},
    {call_id::getsockname, {ENOBUFS}},
};

/// A backend, what fails with it and how often each is tried. A further one is one more line in
/// `fault_backends`.
struct on_epoll : plain<epoll_poller, real_world> {
  static constexpr std::uint64_t places = 12;  // of one call, tried one after the other
  static bool usable() { return true; }
  static fault_rows while_opening() {
    return {{call_id::epoll_create1, {EMFILE, ENFILE, ENOMEM}},
            {call_id::eventfd, {EMFILE, ENFILE, ENODEV, ENOMEM}},
            {call_id::epoll_ctl, {ENOMEM, ENOSPC}},
            {call_id::epoll_wait, {EINVAL}}};
  }
  static fault_rows while_serving() {
    return {{call_that_accepts, codes_of_accept},
            {call_id::recv, {ECONNRESET, ECONNREFUSED, EINTR, ENOMEM, ENOTCONN, ETIMEDOUT}},
            {call_id::send, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM, EACCES, EMSGSIZE}},
            {call_id::sendmsg, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM}},
            {call_id::shutdown, {ENOTCONN, ENOBUFS}},
            {call_id::close, {EINTR, EIO, ENOSPC, EDQUOT}},
            {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}},
            {call_id::getsockopt, {ENOPROTOOPT, ENOBUFS}},
            {call_id::epoll_ctl, {ENOMEM, ENOSPC}},
            {call_id::epoll_wait, {EINTR, EINVAL}}};
  }
  static std::vector<fault> several() {
    std::vector<fault> made;
    for (const int code : {EMFILE, ECONNABORTED, EPERM})
      for (const std::uint64_t nth : {1, 2, 3}) made.push_back({call_that_accepts, code, nth, 3});
    return made;
  }
};

struct on_kqueue : plain<kqueue_poller, kqueue_world> {
  static constexpr std::uint64_t places = 12;
  static bool usable() { return true; }
  static fault_rows while_opening() {
    return {{call_id::kqueue, {EMFILE, ENFILE, ENOMEM}},
            {call_id::fcntl, {ENOMEM}},
            {call_id::kevent, {EACCES, ENOMEM}}};
  }
  static fault_rows while_serving() {
    fault_rows rows = on_epoll::while_serving();
    std::erase_if(rows, [](const fault_row& row) {
      return row.what == call_id::epoll_ctl || row.what == call_id::epoll_wait;
    });
    rows.push_back({call_id::kevent, {EINTR, EINVAL, ENOMEM}});
    return rows;
  }
  static std::vector<fault> several() {
    std::vector<fault> made = on_epoll::several();
    // No EVFILT_USER: a pipe.
    made.push_back({call_id::kevent, EINVAL, 1, 1});
    return made;
  }
};

#ifdef HINGE_HAVE_URING
constexpr fault_site accepting(IORING_OP_ACCEPT, "an accept");
constexpr fault_site receiving(IORING_OP_RECV, "a receive");
constexpr fault_site sending(IORING_OP_SEND, "a send");
constexpr fault_site closing(IORING_OP_CLOSE, "a close");
constexpr fault_site polling(IORING_OP_POLL_ADD, "a poll");
constexpr fault_site cancelling(IORING_OP_ASYNC_CANCEL, "a cancel");

template <class Poller>
struct on_uring : plain<Poller, uring_world> {
  /// The rarer kinds are the same but for how they accept and receive.
  static constexpr std::uint64_t places = std::is_same_v<Poller, uring_poller> ? 10 : 4;
  static bool usable() { return bool(uring_verdict()); }
  static fault_rows while_opening() {
    return {{call_id::eventfd, {EMFILE, ENFILE, ENODEV, ENOMEM}},
            {ring_call_id::io_uring_queue_init_params,
             {ENOSYS, EPERM, EACCES, EMFILE, ENFILE, ENOMEM, EINVAL}},
            {ring_call_id::io_uring_register_buf_ring, {ENOMEM, EINVAL, EOPNOTSUPP}}};
  }
  static fault_rows while_serving() {
    fault_rows rows = {
        {call_id::shutdown, {ENOTCONN, ENOBUFS}},
        {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}},
        {ring_call_id::io_uring_register, {EBADFD, EBUSY, ENOMEM}},
        {ring_call_id::io_uring_register_ring_fd, {EINVAL, EBUSY, ENOMEM}},
        {ring_call_id::io_uring_submit_and_wait_timeout,
         {EAGAIN, EBUSY, EINTR, ETIME, ENOMEM, EBADR, EEXIST, EINVAL}},
        {accepting, codes_of_accept},
        {accepting, {ECANCELED}},
        {receiving,
         {ECONNRESET, ECONNREFUSED, EINTR, ENOMEM, ENOTCONN, ETIMEDOUT, ENOBUFS, ECANCELED,
          EAGAIN}},
        {sending, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM, EACCES, EMSGSIZE, ECANCELED, EAGAIN}},
        {closing, {EINTR, EIO, ENOSPC, EDQUOT}},
        {polling, {ENOMEM, ECANCELED, EAGAIN}},
        {cancelling, {EALREADY, ENOENT}},
    };
    return rows;
  }
  static constexpr bool accepts_one = std::is_same_v<Poller, uring_accepts_one>;
  static constexpr bool polls_first = std::is_same_v<Poller, uring_polls_first>;
  static constexpr std::uint64_t all = 1'000'000;

  static std::vector<fault> several() {
    std::vector<fault> made = {
        // No setup but the oldest; the smallest ring; none.
        {ring_call_id::io_uring_queue_init_params, EINVAL, 1, 2},
        {ring_call_id::io_uring_queue_init_params, ENOMEM, 1, 3},
        {ring_call_id::io_uring_queue_init_params, EINVAL, 1, all},
        {ring_call_id::io_uring_queue_init_params, ENOMEM, 1, all},
        {ring_call_id::io_uring_submit_and_wait_timeout, EAGAIN, 3, 20},
        {ring_call_id::io_uring_submit_and_wait_timeout, EINVAL, 12, all},
        {ring_call_id::io_uring_submit_and_get_events, EAGAIN, 1, 20},
        {ring_call_id::io_uring_submit_and_get_events, EBUSY, 1, 20},
        {accepting, EMFILE, 1, 3},
        {accepting, ECONNABORTED, 1, 3},
        {accepting, EPERM, 1, 3},
        {receiving, ENOBUFS, 1, 30},
        {receiving, ENOBUFS, 4, 30},
        {polling, ENOMEM, 1, 4},
        {closing, EIO, 1, all},
        {cancelling, EALREADY, 1, all},
    };
    cut_short(made);
    end_silently(made);
    for (const std::uint64_t nth : {1, 2, 3}) {
      for (const int code : {ECONNRESET, ETIMEDOUT, ENOBUFS, ENOMEM, ECANCELED})
        if (!polls_first)
          made.push_back({.what = receiving, .code = code, .nth = nth, .when_armed = true});
      for (const int code : {EMFILE, ECONNABORTED, EPERM, ENOMEM, ECANCELED})
        if (!accepts_one)
          made.push_back({.what = accepting, .code = code, .nth = nth, .when_armed = true});
    }
    return made;
  }
  static void cut_short(std::vector<fault>& made) {
    for (const std::uint32_t length : {1, 3, 5000})
      for (const std::uint64_t nth : {1, 2, 3, 4, 5, 6, 7, 8})
        made.push_back({.what = sending, .nth = nth, .times = 1 + nth % 3, .length = length});
  }
  /// A request that goes on ends after an answer: with a connection, with bytes, with a call.
  static void end_silently(std::vector<fault>& made) {
    for (const std::uint64_t times : {std::uint64_t{1}, all}) {
      made.push_back({.what = accepting, .times = times, .lone = true});
      for (const std::uint64_t nth : {1, 2, 3}) {
        made.push_back({.what = receiving, .nth = nth, .times = times, .lone = true});
        if (nth == 1 || polls_first)
          made.push_back({.what = polling, .nth = nth, .times = times, .lone = true});
      }
    }
  }
};
using fault_backends = std::tuple<on_epoll, on_kqueue, on_uring<uring_poller>,
                                  on_uring<uring_polls_first>, on_uring<uring_accepts_one>>;
using stirred_backends =
    std::tuple<on_uring<uring_poller>, on_uring<uring_polls_first>, on_uring<uring_accepts_one>>;
#else
using fault_backends = std::tuple<on_epoll, on_kqueue>;
#endif

template <class Backend>
void fail_everywhere(const fault_row& row) {
  for (const int code : row.codes) {
    for (std::uint64_t nth = 1; nth <= Backend::places; ++nth)
      if (live_through<Backend>(fault{.what = row.what, .code = code, .nth = nth}) == 0) break;
  }
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("fault: without one everybody is served", "", fault_backends) {
  const std::size_t descriptors = open_descriptors();
  {
    served_run<TestType> run(std::nullopt);
    REQUIRE(run.open());
    run.serve_clients();
    run.serve_another();
    run.be_quiet();
    run.drain();
    // The rows below are about calls that are made.
    for (const fault_row& row : TestType::while_serving()) {
      CAPTURE(row.what.name);
      CHECK(run.system.made(row.what) != 0);
    }
  }
  CHECK(open_descriptors() == descriptors);
}

TEMPLATE_LIST_TEST_CASE("fault: while opening", "", fault_backends) {
  for (const fault_row& row : TestType::while_opening()) fail_everywhere<TestType>(row);
  for (const fault_row& row : opening_a_listener) fail_everywhere<TestType>(row);
}

TEMPLATE_LIST_TEST_CASE("fault: while serving, once", "", fault_backends) {
  for (const fault_row& row : TestType::while_serving()) fail_everywhere<TestType>(row);
}

TEMPLATE_LIST_TEST_CASE("fault: several times in a row, and other surprises", "", fault_backends) {
  for (const fault& one : TestType::several()) {
    CAPTURE(text(one));
    CHECK(live_through<TestType>(one) != 0);
  }
}

#ifdef HINGE_HAVE_URING
TEMPLATE_LIST_TEST_CASE("fault: completions in any order, and late", "", stirred_backends) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) live_through<TestType>(std::nullopt, seed);
}
#endif
