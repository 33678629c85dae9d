#include "simulator/ring_hooks.hpp"

#include "uring_probe.hpp"
#include "uring_token.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace hinge::test {

namespace {

// A request that has no name of its own, and is to be heard of.
constexpr std::uint64_t failing_unnamed = ~std::uint64_t{0};
// A completion in whose place one comes that is late.
constexpr std::uint64_t late_place = failing_unnamed - 1;

/// The ring that a call is about.
io_uring* ring_among(io_uring* ring, ...) { return ring; }
io_uring* ring_among(unsigned, io_uring* ring, ...) { return ring; }
io_uring* ring_among(unsigned, unsigned, ...) { return nullptr; }

template <class Returned, class Make>
Returned hook(ring_call_id id, io_uring* ring, Make make) {
  ring_hooks& hooks = ring_hooks::current();
  const int failed = hooks.before(id);
  if constexpr (std::is_void_v<Returned>) {
    hooks.exited(ring);
    make();
  } else {
    if (failed != 0) return failed;
    const Returned result = make();
    if (id == ring_call_id::io_uring_queue_init_params && result == 0) hooks.opened(*ring);
    return result;
  }
}

/// The request of that name that the kernel has not seen yet.
io_uring_sqe& unsubmitted(io_uring& ring, std::uint64_t name) {
  for (unsigned i = ring.sq.sqe_head; i != ring.sq.sqe_tail; ++i)
    if (io_uring_sqe& one = ring.sq.sqes[i & ring.sq.ring_mask]; one.user_data == name) return one;
  throw std::logic_error("a request that nobody knows");
}

#define HINGE_HOOKED(returned, name, parameters, arguments)                              \
  [] parameters -> returned {                                                            \
    return hook<returned>(ring_call_id::name, ring_among arguments,                      \
                          [&] { return ring_hooks::current().under().name arguments; }); \
  },
const sys::ring_table hooked_ring = {
    HINGE_RING_CALLS(HINGE_HOOKED)  //
        [](io_uring_sqe & request){ring_hooks::current().prepared(request);
}  // namespace
, [](io_uring& ring) { ring_hooks::current().completed(ring); },
};  // namespace hinge::test
#undef HINGE_HOOKED

}  // namespace

ring_hooks* ring_hooks::current_ = nullptr;

ring_hooks::ring_hooks(request_decision request, call_decision call)
    : under_(sys::current_ring),
      under_close_(sys::current.close),
      decide_request_(std::move(request)),
      decide_call_(std::move(call)) {
  // The self-test of the process is over before anything is looked at.
  static_cast<void>(uring_verdict());
  current_ = this;
  sys::current_ring = hooked_ring;
  sys::current.close = [](int fd) noexcept { return current().close(fd); };
}

ring_hooks::~ring_hooks() {
  sys::current.close = under_close_;
  sys::current_ring = under_;
  current_ = nullptr;
}

std::uint64_t ring_hooks::entered() const {
  return count(ring_call_id::io_uring_submit) +
         count(ring_call_id::io_uring_submit_and_get_events) +
         count(ring_call_id::io_uring_submit_and_wait_timeout);
}

int ring_hooks::before(ring_call_id what) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t nth = ++calls_[static_cast<std::size_t>(what)];
  return decide_call_ ? decide_call_(what, nth) : 0;
}

void ring_hooks::opened(io_uring& ring) {
  const std::lock_guard lock(mutex_);
  rings_[&ring] = {};
}

void ring_hooks::exited(const io_uring* ring) {
  const std::lock_guard lock(mutex_);
  rings_.erase(const_cast<io_uring*>(ring));
}

// --- requests ------------------------------------------------------------------------------------

ring_hooks::ring_state& ring_hooks::ring_of(const io_uring_sqe& request) {
  for (auto& [ring, state] : rings_)
    if (&request >= ring->sq.sqes && &request < ring->sq.sqes + ring->sq.ring_entries) return state;
  throw std::logic_error("a request of no ring");
}

void ring_hooks::prepared(io_uring_sqe& request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back({.opcode = request.opcode,
                       .flags = request.flags,
                       .ioprio = request.ioprio,
                       .fd = request.fd,
                       .length = request.len,
                       .op_flags = request.msg_flags,
                       .file_index = request.file_index,
                       .name = request.user_data});
  const std::uint64_t nth = ++requests_made_[request.opcode];
  const request_fate fate =
      decide_request_ ? decide_request_(requests_.back(), nth) : request_fate{};
  ring_state& of = ring_of(request);
  if (request.opcode == IORING_OP_CLOSE) {
    prepared_close(of, request, fate);
  } else if (request.opcode == IORING_OP_ASYNC_CANCEL) {
    prepared_cancel(of, request, fate);
  } else {
    prepared_other(of, request, fate);
  }
}

/// It is done, and heard of as if it had failed.
void ring_hooks::prepared_unnamed(ring_state& of, io_uring_sqe& request, int code) {
  request.flags &= static_cast<std::uint8_t>(~IOSQE_CQE_SKIP_SUCCESS);
  request.user_data = failing_unnamed;
  of.held.push_back({.opcode = request.opcode,
                     .fd = -1,
                     .name = failing_unnamed,
                     .changed_name = failing_unnamed,
                     .to = -code});
}

void ring_hooks::prepared_cancel(ring_state& of, io_uring_sqe& request, const request_fate& fate) {
  if (fate.code != 0) return prepared_unnamed(of, request, fate.code);
  for (under_way& one : of.held) {
    if (one.name != request.addr || !std::exchange(one.stalled, false)) continue;
    // Of a receive that has stalled the kernel has nothing any more: what comes is its end.
    io_uring_prep_nop(&request);
    request.user_data = one.changed_name = one.name;
    one.to = -ECANCELED;
    return;
  }
}

void ring_hooks::prepared_close(ring_state& of, io_uring_sqe& request, const request_fate& fate) {
  if (std::exchange(of.link_broken, false)) {
    // What follows a request that fell short is cancelled, and without a completion when that
    // request was to have none.
    of.link_open = false;
    request = {};
    request.opcode = IORING_OP_NOP;
    request.flags = IOSQE_CQE_SKIP_SUCCESS;
    return;
  }
  if (std::exchange(of.link_open, false)) {
    under_way& send = of.held.back();
    if (send.fd != request.fd)
      violations_.push_back("the close behind a send is of another descriptor");
    send.close_name = request.user_data;
    const under_way pair = std::exchange(send, under_way{.opcode = 0, .fd = -1, .name = 0});
    must_not_be_held(request.fd, "a close behind a send");
    send = pair;
    if (fate.code != 0) {
      send.changed_name = send.close_name;
      send.to = -fate.code;
    }
    return;
  }
  must_not_be_held(request.fd, "a close in the ring");
  if (fate.code != 0) prepared_unnamed(of, request, fate.code);
}

void ring_hooks::prepared_other(ring_state& of, io_uring_sqe& request, const request_fate& fate) {
  under_way made{.opcode = request.opcode, .fd = request.fd, .name = request.user_data};
  of.link_open = (request.flags & IOSQE_IO_LINK) != 0;
  if (fate.code != 0) {
    request.fd = -1;
    made.changed_name = made.name;
    made.from = -EBADF;
    made.to = -fate.code;
  } else if (fate.length != 0 && fate.length < request.len && request.opcode == IORING_OP_SEND) {
    request.len = fate.length;
    of.link_broken = of.link_open;
    request.flags &= static_cast<std::uint8_t>(~(IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS));
  }
  made.stalls = fate.stalls && request.opcode == IORING_OP_RECV &&
                (request.ioprio & IORING_RECV_MULTISHOT) != 0;
  if (fate.lone || made.stalls) {
    if (request.opcode == IORING_OP_ACCEPT)
      request.ioprio &= static_cast<std::uint16_t>(~IORING_ACCEPT_MULTISHOT);
    if (request.opcode == IORING_OP_RECV)
      request.ioprio &= static_cast<std::uint16_t>(~IORING_RECV_MULTISHOT);
    if (request.opcode == IORING_OP_POLL_ADD) request.len &= ~IORING_POLL_ADD_MULTI;
  }
  of.held.push_back(made);
}

void ring_hooks::must_not_be_held(int fd, const char* closer) {
  for (const auto& [ring, state] : rings_)
    for (const under_way& one : state.held)
      if (one.fd == fd && fd >= 0)
        violations_.push_back(std::string(closer) + " of descriptor " + std::to_string(fd) +
                              " under a request of opcode " + std::to_string(one.opcode));
}

int ring_hooks::close(int fd) {
  {
    const std::lock_guard lock(mutex_);
    must_not_be_held(fd, "close");
  }
  return under_close_(fd);
}

bool ring_hooks::accepts_on(int fd) const {
  return std::any_of(rings_.begin(), rings_.end(), [fd](const auto& ring) {
    return std::any_of(ring.second.held.begin(), ring.second.held.end(), [fd](const auto& one) {
      return one.opcode == IORING_OP_ACCEPT && one.fd == fd;
    });
  });
}

void ring_hooks::fail_armed_accept(int fd, int code) {
  for (auto& [ring, state] : rings_) {
    for (under_way& one : state.held) {
      if (one.opcode != IORING_OP_ACCEPT || one.fd != fd) continue;
      if (!end(*ring, one, code)) {
        one.from = -EBADF;
        unsubmitted(*ring, one.name).fd = -1;
      }
      return;
    }
  }
}

/// Cancels a request; its last completion tells of that errno instead. False: the kernel has none
/// of that name.
bool ring_hooks::end(io_uring& ring, under_way& one, int code) {
  one.changed_name = one.name;
  one.from = -ECANCELED;
  one.to = -code;
  io_uring_sync_cancel_reg wanted{};
  wanted.addr = one.name;
  wanted.fd = -1;
  wanted.timeout = {.tv_sec = -1, .tv_nsec = -1};
  const int failed = under_.io_uring_register(static_cast<unsigned>(ring.ring_fd),
                                              IORING_REGISTER_SYNC_CANCEL, &wanted, 1);
  if (failed < 0 && failed != -ENOENT) throw std::runtime_error("IORING_REGISTER_SYNC_CANCEL");
  return failed == 0;
}

// --- completions ---------------------------------------------------------------------------------

void ring_hooks::completed(io_uring& ring) {
  const std::lock_guard lock(mutex_);
  ring_state& of = rings_[&ring];
  const unsigned tail = io_uring_smp_load_acquire(ring.cq.ktail);
  if (order_ && of.seen != tail) permute(ring, of.seen, tail);
  for (; of.seen != tail; ++of.seen) {
    io_uring_cqe& one = ring.cq.cqes[of.seen & ring.cq.ring_mask];
    if (late_) put_off(ring, of, one);
    look_at(ring, of, one);
  }
}

/// Puts another one in its place, or nothing.
void ring_hooks::put_off(io_uring& ring, ring_state& of, io_uring_cqe& one) {
  constexpr double odds = 0.5;
  const auto ask_for_place = [&ring] {
    io_uring_sqe* const place = io_uring_get_sqe(&ring);
    if (place == nullptr) return false;
    io_uring_prep_nop(place);
    io_uring_sqe_set_data64(place, late_place);
    return true;
  };
  completion_seen now{one.user_data, one.res, one.flags};
  if (now.name == late_place) {
    now = {};
    if (!late_->chance(odds) || !ask_for_place()) {
      now = of.late.front();
      of.late.pop_front();
    }
  } else {
    bool behind = false;
    for (completion_seen& waits : of.late) behind |= subject_of(waits.name) == subject_of(now.name);
    if ((behind || late_->chance(odds)) && ask_for_place()) {
      of.late.push_back(std::exchange(now, {}));
    } else if (behind) {
      for (auto waits = of.late.rbegin(); waits != of.late.rend(); ++waits)
        if (subject_of(waits->name) == subject_of(now.name)) std::swap(*waits, now);
    }
  }
  one.user_data = now.name;
  one.res = now.result;
  one.flags = now.flags;
}

/// Shuffles the tokens' places, and fills the places of each in the order of its completions.
void ring_hooks::permute(io_uring& ring, unsigned from, unsigned to) {
  const auto at = [&ring](unsigned i) -> io_uring_cqe& {
    return ring.cq.cqes[i & ring.cq.ring_mask];
  };
  std::vector<std::uint64_t> places;
  std::map<std::uint64_t, std::deque<completion_seen>> of_token;
  for (unsigned i = from; i != to; ++i) {
    const std::uint64_t token = subject_of(at(i).user_data).bits();
    places.push_back(token);
    of_token[token].push_back({at(i).user_data, at(i).res, at(i).flags});
  }
  order_->shuffle(places);
  for (unsigned i = from; i != to; ++i) {
    std::deque<completion_seen>& next = of_token[places[i - from]];
    at(i).user_data = next.front().name;
    at(i).res = next.front().result;
    at(i).flags = next.front().flags;
    next.pop_front();
  }
}

void ring_hooks::look_at(io_uring& ring, ring_state& of, io_uring_cqe& one) {
  const auto held = std::find_if(of.held.begin(), of.held.end(), [&](const under_way& request) {
    return request.name == one.user_data ||
           (request.close_name != 0 && request.close_name == one.user_data);
  });
  if (held != of.held.end()) {
    if (held->changed_name == one.user_data && one.res == held->from && held->to != 0)
      one.res = held->to;
    if (held->stalls && one.res > 0) {
      one.flags |= IORING_CQE_F_MORE | IORING_CQE_F_SOCK_NONEMPTY;
      held->stalled = std::exchange(held->stalls, false);
    }
    if ((one.flags & IORING_CQE_F_MORE) == 0) {
      of.held.erase(held);
    } else if (held->opcode == ending_.opcode && ending_.nth != 0 && --ending_.nth == 0) {
      end(ring, *held, ending_.code);
    }
  }
  if (one.user_data == failing_unnamed) one.user_data = 0;
  completions_.push_back({one.user_data, one.res, one.flags});
}

}  // namespace hinge::test
