// Each system call that a serving loop makes, and on io_uring each call to the ring and each
// request, fails with each errno that its man page knows, at each place. Whatever fails: no crash,
// no leak, no hang, no spin, exact accounts, and the next client is served.
#include "conformance/backends.hpp"
#include "fault/served_run.hpp"
#include "support/masked.hpp"
#include "support/temporary_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

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

constexpr std::uint64_t all_places = 50;
// What no man page expects, but a filter, a module or a later kernel may say.
const std::vector<int> any_codes = {EPERM,  EINTR,      EIO,       ENOMEM,  EACCES,
                                    EBUSY,  ENODEV,     EINVAL,    ENFILE,  EMFILE,
                                    ENOSPC, ECONNRESET, ETIMEDOUT, ENOBUFS, EPROTO};

/// What fails with a backend. A further one is one more line in fault_plans().
struct fault_plan {
  std::string_view backend;
  std::uint64_t places;  // of one call, tried one after the other
  fault_rows while_opening;
  fault_rows while_serving;
  /// From a client that comes to its place at the loop, and to its end: each fails, with any code
  /// at any place.
  std::vector<fault> accept_path;
  std::vector<fault> several;
};

/// Behind any_poller the calls are the same: what is different may fail the first time.
bool is_behind(std::string_view name) { return name.starts_with("any "); }

/// What a loop calls itself where the backend only tells that it can.
fault_plan on_readiness(std::string_view name) {
  fault_plan plan = {
      .backend = name,
      .places = is_behind(name) ? 1U : 12U,
      .while_opening = {},
      .while_serving = {{call_that_accepts, codes_of_accept},
                        {call_id::recv,
                         {ECONNRESET, ECONNREFUSED, EINTR, ENOMEM, ENOTCONN, ETIMEDOUT}},
                        {call_id::send,
                         {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM, EACCES, EMSGSIZE}},
                        {call_id::sendmsg, {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM}},
                        {call_id::shutdown, {ENOTCONN, ENOBUFS}},
                        {call_id::close, {EINTR, EIO, ENOSPC, EDQUOT}},
                        {call_id::setsockopt, {ENOPROTOOPT, ENOMEM}}},
      .accept_path = {{call_that_accepts}, {call_id::close}},
      .several = {},
  };
  if (tells_queue) plan.while_serving.push_back({call_id::getsockopt, {ENOPROTOOPT, ENOBUFS}});
  for (const int code : {EMFILE, ECONNABORTED, EPERM})
    for (const std::uint64_t nth : {1, 2, 3})
      plan.several.push_back({call_that_accepts, code, nth, 3});
  return plan;
}

#ifdef HINGE_HAVE_EPOLL
fault_plan on_epoll(std::string_view name) {
  fault_plan plan = on_readiness(name);
  plan.while_opening = {{call_id::epoll_create1, {EMFILE, ENFILE, ENOMEM}},
                        {call_id::eventfd, {EMFILE, ENFILE, ENODEV, ENOMEM}},
                        {call_id::epoll_ctl, {ENOMEM, ENOSPC}},
                        {call_id::epoll_wait, {EINVAL}}};
  plan.while_serving.push_back({call_id::epoll_ctl, {ENOMEM, ENOSPC}});
  plan.while_serving.push_back({call_id::epoll_wait, {EINTR, EINVAL}});
  plan.accept_path.push_back({call_id::epoll_ctl});
  plan.accept_path.push_back({call_id::epoll_wait});
  return plan;
}
#endif

fault_plan on_kqueue(std::string_view name) {
  fault_plan plan = on_readiness(name);
  plan.while_opening = {{call_id::kqueue, {EMFILE, ENFILE, ENOMEM}},
                        {call_id::fcntl, {ENOMEM}},
                        {call_id::kevent, {EACCES, ENOMEM}}};
  plan.while_serving.push_back({call_id::kevent, {EINTR, EINVAL, ENOMEM}});
  plan.accept_path.push_back({call_id::kevent});
  // No EVFILT_USER: a pipe.
  plan.several.push_back({call_id::kevent, EINVAL, 1, 1});
  return plan;
}

#ifdef HINGE_HAVE_URING
constexpr fault_site accepting(IORING_OP_ACCEPT, "an accept");
constexpr fault_site receiving(IORING_OP_RECV, "a receive");
constexpr fault_site sending(IORING_OP_SEND, "a send");
constexpr fault_site closing(IORING_OP_CLOSE, "a close");
constexpr fault_site polling(IORING_OP_POLL_ADD, "a poll");
constexpr fault_site cancelling(IORING_OP_ASYNC_CANCEL, "a cancel");

constexpr std::uint64_t all = 1'000'000;

void cut_short(std::vector<fault>& made) {
  for (const std::uint32_t length : {1, 3, 5000})
    for (const std::uint64_t nth : {1, 2, 3, 4, 5, 6, 7, 8})
      made.push_back({.what = sending, .nth = nth, .times = 1 + nth % 3, .length = length});
}

/// A request that goes on ends after an answer: with a connection, with bytes, with a call.
void end_silently(std::vector<fault>& made, bool polls_first) {
  for (const std::uint64_t times : {std::uint64_t{1}, all}) {
    made.push_back({.what = accepting, .times = times, .lone = true});
    for (const std::uint64_t nth : {1, 2, 3}) {
      made.push_back({.what = receiving, .nth = nth, .times = times, .lone = true});
      if (nth == 1 || polls_first)
        made.push_back({.what = polling, .nth = nth, .times = times, .lone = true});
    }
  }
}

std::vector<fault> several_on_uring(bool polls_first, bool accepts_one) {
  std::vector<fault> made = {
      // No setup but the oldest; the smallest ring; none.
      {ring_call_id::io_uring_queue_init_params, EINVAL, 1, 2},
      {ring_call_id::io_uring_queue_init_params, ENOMEM, 1, 3},
      {ring_call_id::io_uring_queue_init_params, EINVAL, 1, all},
      {ring_call_id::io_uring_queue_init_params, ENOMEM, 1, all},
      {ring_call_id::io_uring_submit_and_wait_timeout, EAGAIN, 3, 20},
      {ring_call_id::io_uring_submit_and_wait_timeout, EINVAL, 5, all},
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
  end_silently(made, polls_first);
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

fault_plan on_uring(std::string_view name) {
  const bool accepts_one = name == "uring accepts one";
  return {
      .backend = name,
      // The rarer kinds are the same but for how they accept and receive.
      .places = is_behind(name)   ? 1U
                : name == "uring" ? 10U
                                  : 4U,
      .while_opening = {{call_id::eventfd, {EMFILE, ENFILE, ENODEV, ENOMEM}},
                        {ring_call_id::io_uring_queue_init_params,
                         {ENOSYS, EPERM, EACCES, EMFILE, ENFILE, ENOMEM, EINVAL}},
                        {ring_call_id::io_uring_register_buf_ring, {ENOMEM, EINVAL, EOPNOTSUPP}}},
      .while_serving =
          {
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
              {sending,
               {ECONNRESET, EPIPE, EINTR, ENOBUFS, ENOMEM, EACCES, EMSGSIZE, ECANCELED, EAGAIN}},
              {closing, {EINTR, EIO, ENOSPC, EDQUOT}},
              {polling, {ENOMEM, ECANCELED, EAGAIN}},
              {cancelling, {EALREADY, ENOENT}},
          },
      // One that goes on is asked for once, and may end with each connection that it tells of.
      .accept_path = {{.what = accepting, .when_armed = !accepts_one},
                      {closing},
                      {ring_call_id::io_uring_submit_and_wait_timeout}},
      .several = several_on_uring(name == "uring polls first", accepts_one),
  };
}
#endif

const std::vector<fault_plan>& fault_plans() {
  static const std::vector<fault_plan> plans = {
#ifdef HINGE_HAVE_EPOLL
      on_epoll("epoll"),
      on_epoll("any epoll"),
#endif
      on_kqueue("kqueue"),
      on_kqueue("any kqueue"),
#ifdef HINGE_HAVE_URING
      on_uring("uring"),
      on_uring("any uring"),
      on_uring("uring polls first"),
      on_uring("uring accepts one"),
#endif
  };
  return plans;
}

const fault_plan& plan_of(const tested_backend& backend) {
  const auto& plans = fault_plans();
  return *std::find_if(plans.begin(), plans.end(),
                       [&](const fault_plan& one) { return one.backend == backend.name; });
}

std::vector<tested_backend> fault_backends() {
  std::vector<tested_backend> made;
  for (const fault_plan& one : fault_plans()) made.push_back(find_backend(one.backend));
  return made;
}

/// Those whose calls are no other backend's.
std::vector<tested_backend> backends_that_accept() {
  std::vector<tested_backend> made = fault_backends();
  std::erase_if(made, [](const tested_backend& one) { return is_behind(one.name); });
  return made;
}

/// Those whose completions can come in any order.
std::vector<tested_backend> stirred_backends() {
  std::vector<tested_backend> made = fault_backends();
  std::erase_if(made, [](const tested_backend& one) { return !one.completes; });
  return made;
}

void fail_everywhere(const tested_backend& backend, const fault_rows& rows, std::uint64_t places) {
  for (const fault_row& row : rows) {
    for (const int code : row.codes) {
      for (std::uint64_t nth = 1; nth <= places; ++nth)
        if (live_through(backend, fault{.what = row.what, .code = code, .nth = nth}) == 0) break;
    }
  }
}

}  // namespace

HINGE_TEST_CASE("fault: without one everybody is served", fault_backends) {
  const std::size_t descriptors = open_descriptors();
  {
    served_run run(backend, std::nullopt, address::loopback(0));
    REQUIRE(run.open());
    run.serve_clients();
    run.serve_another();
    run.be_quiet();
    run.drain();
    // The rows below are about calls that are made.
    for (const fault_row& row : plan_of(backend).while_serving) {
      CAPTURE(row.what.name);
      CHECK(run.system.made(row.what) != 0);
    }
  }
  CHECK(open_descriptors() == descriptors);
}

HINGE_TEST_CASE("fault: while opening", fault_backends) {
  fail_everywhere(backend, plan_of(backend).while_opening, plan_of(backend).places);
  fail_everywhere(backend, opening_a_listener, plan_of(backend).places);
}

HINGE_TEST_CASE("fault: while serving, once", fault_backends) {
  fail_everywhere(backend, plan_of(backend).while_serving,
                  sized(plan_of(backend).places, all_places));
}

HINGE_TEST_CASE("fault: while serving, with errnos that no man page knows", fault_backends) {
  fault_rows rows = plan_of(backend).while_serving;
  for (fault_row& row : rows) row.codes = any_codes;
  fail_everywhere(backend, rows, sized(std::uint64_t{1}, all_places));
}

// In short each place with three of the errnos, and each errno at ten of the places.
HINGE_TEST_CASE("fault: on the accept path, at each place", backends_that_accept) {
  const std::uint64_t step = sized(std::uint64_t{5}, std::uint64_t{1});
  const temporary_folder folder;
  const address door = *address::unix_path(folder / "door");  // made in a fifth of TCP's time
  for (fault wrong : plan_of(backend).accept_path) {
    // Of 16 places: the crowd before may not have gone yet. A wait serves all of one.
    const bool waits = waits_in(wrong.what) || wrong.what.of == fault_site::kind::ring_call;
    const auto come = [crowd = waits ? 1U : 7U](served_run& run) {
      run.serve_crowds_until_fault(crowd);
      run.serve_another();
    };
    std::uint64_t first = 0;
    for (const int code : any_codes) {
      wrong.code = code;
      for (wrong.nth = 1 + first++ % step; wrong.nth <= all_places; wrong.nth += step)
        CHECK(live(backend, wrong, door, come) == 1);
    }
  }
}

HINGE_TEST_CASE("fault: several times in a row, and other surprises", fault_backends) {
  for (const fault& one : plan_of(backend).several) {
    CAPTURE(text(one));
    CHECK(live_through(backend, one) != 0);
  }
}

HINGE_TEST_CASE("fault: completions in any order, and late", stirred_backends) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    live(backend, std::nullopt, address::loopback(0), [seed](served_run& run) {
      run.system.stir(seed);
      run.serve_all();
    });
  }
}
