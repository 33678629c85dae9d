#include "uring_ring.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <utility>

#include "confinement.hpp"
#include "nap.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

// Best first: since Linux 6.1, 5.19, older. A disabled ring has no owner yet: it is the thread
// that enables it.
constexpr std::array<unsigned, 3> setups = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_R_DISABLED,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_R_DISABLED,
    IORING_SETUP_R_DISABLED,
};
// What an ended process had locked is given back up to a second later, and what a closed ring had
// up to a tenth of one (both seen on Linux 6.18). With all that is waited for it takes no longer
// than the last.
constexpr nanoseconds memory_patience = std::chrono::milliseconds(1150);
constexpr nanoseconds patience_after_close = std::chrono::milliseconds(150);
constexpr nanoseconds whole_patience = std::chrono::milliseconds(1450);
constexpr nanoseconds between_tries = std::chrono::milliseconds(10);
constexpr nanoseconds forgotten = std::chrono::seconds(10);
// What waits behind a link is deferred work, of which a call does so much (IO_LOCAL_TW_DEFAULT_MAX
// in the kernel's io_uring/io_uring.c, 6.13), or as much as it is to wait for.
constexpr unsigned deferred_at_once = 20;
constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |
                            IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

// Since when memory is short, or 0, and when it was so the last time. A shortage ends when a ring
// is had at once, or when none has met it for a while: as long as it lasts, the process waits once,
// and not for each of its rings.
std::atomic<instant> short_since = 0;
std::atomic<instant> short_last = 0;

/// That it is short now: since when.
instant note_shortage(instant at) noexcept {
  if (at - short_last.exchange(at) >= forgotten.count()) short_since = 0;
  instant since = 0;
  return short_since.compare_exchange_strong(since, at) ? at : since;
}

/// Whether the limit of locked memory has room for it when nothing else is locked: without, it
/// isn't worth waiting. Counts what no kernel can do without.
bool fits_limit(const uring_options& size, std::uint32_t buffers) noexcept {
  rlimit limit;
  if (sys::getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return true;
  constexpr std::uint64_t page = 4096;
  const auto pages = [](std::uint64_t bytes) { return (bytes + page - 1) / page * page; };
  const std::uint64_t least = pages(size.submissions * sizeof(io_uring_sqe)) +
                              pages(size.completions * sizeof(io_uring_cqe)) +
                              pages(buffers * sizeof(io_uring_buf));
  return limit.rlim_cur >= least || is_privileged(privilege::lock_memory);
}

/// False when it is the least.
bool halve(uring_options& size) noexcept {
  constexpr uring_options least = uring_ring::least;
  if (size.completions <= least.completions) return false;
  size.submissions = std::max(size.submissions / 2, least.submissions);
  size.completions = std::max(size.completions / 2, 2 * size.submissions);
  return true;
}

}  // namespace

#ifdef HINGE_SYS_SEAM
void uring_ring::forget_shortage() noexcept { short_since = 0; }
#endif

result<void> uring_ring::open(const uring_options& options, std::uint32_t cancels,
                              buffer_ring& buffers) noexcept {
  most_owed_ = cancels;
  if (!owed_cancels_.open(cancels)) return fail("open io_uring", "memory for cancels", ENOMEM);
  uring_options size = options;
  size.submissions = std::max(size.submissions, least.submissions);
  size.completions = std::max(size.completions, 2 * size.submissions);
  bool was_short = false;
  const instant begun = now();
  instant given_back = 0;  // what a ring had for which buffers had no room
  for (;;) {
    result<void> made = set_up(size);
    const bool had_ring = open_;
    if (made) made = buffers.provide(*this);
    if (!made) close();
    if (made && !was_short) short_since = 0;
    if (made || made.error().code() != ENOMEM) return made;
    was_short = true;
    const instant at = now();
    const instant since = note_shortage(at);
    if (had_ring) given_back = at + patience_after_close.count();
    const instant last =
        std::max(since + whole_patience.count(), begun + patience_after_close.count());
    const bool may_come = at - since < memory_patience.count() && fits_limit(size, buffers.count());
    if (may_come || (!had_ring && at < std::min(given_back, last)))
      nap(between_tries);
    else if (!halve(size))
      return made;
  }
}

/// A ring of that size, with the best setup that there is.
result<void> uring_ring::set_up(const uring_options& size) noexcept {
  for (auto setup = setups.begin();; ++setup) {
    io_uring_params terms{};
    terms.flags = *setup | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    terms.cq_entries = size.completions;
    const int failed = sys::io_uring_queue_init_params(size.submissions, &ring_, &terms);
    if (failed == -EINVAL && setup + 1 != setups.end()) continue;
    if (failed < 0) return fail("io_uring_setup", "a ring", -failed);
    break;
  }
  open_ = true;
  if ((ring_.features & needed) == needed) return {};
  return fail(uring_says, "no features of Linux 5.17 on this kernel", EOPNOTSUPP);
}

void uring_ring::close() noexcept {
  if (!open_) return;
  // liburing's own view of the queue: what it has not published, nobody has submitted.
  const io_uring_sq& queue = ring_.sq;
  for (unsigned at = *queue.khead; at != queue.sqe_tail; ++at) {
    const io_uring_sqe& left = queue.sqes[at & queue.ring_mask];
    if (left.opcode == IORING_OP_CLOSE) sys::close(left.fd);
  }
  // Since 2.4 liburing takes the registered descriptor back by its number, which is the thread's:
  // here it may be another ring's.
  constexpr auto registered = 1;  // INT_FLAG_REG_RING
  if (foreign()) ring_.int_flags &= static_cast<__u8>(~registered);
  sys::io_uring_queue_exit(&ring_);
  disown();
  open_ = started_ = false;
}

namespace {
std::mutex owning;  // all lists of owned_rings
}

/// Those of a thread, until it ends.
struct uring_ring::owned_rings {
  uring_ring* first = nullptr;

  ~owned_rings() {
    const std::lock_guard lock(owning);
    for (uring_ring* one = first; one != nullptr; one = one->next_owned_) {
      one->owner_ = nullptr;
      one->owned_with_ = nullptr;
    }
  }
};

void uring_ring::own() noexcept {
  thread_local owned_rings mine;
  const std::lock_guard lock(owning);
  next_owned_ = std::exchange(mine.first, this);
  owned_with_ = &mine;
  owner_ = this_thread();
}

void uring_ring::disown() noexcept {
  const std::lock_guard lock(owning);
  if (owned_with_ == nullptr) return;
  uring_ring** at = &owned_with_->first;
  while (*at != this) at = &(*at)->next_owned_;
  *at = next_owned_;
  owned_with_ = nullptr;
}

int uring_ring::start() noexcept {
  const auto fd = static_cast<unsigned>(ring_.ring_fd);
  const int failed = sys::io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (failed < 0) return failed;
  started_ = true;
  own();
  // Saves the look-up of the descriptor at each call; refused before 5.18, and then left out.
  sys::io_uring_register_ring_fd(&ring_);
  return 0;
}

void uring_ring::cancel(std::uint64_t of) noexcept {
  io_uring_sqe* const request = next();
  if (request == nullptr) {
    assert(owed_ != most_owed_);
    owed_cancels_[owed_++] = of;
    return;
  }
  io_uring_prep_cancel64(request, of, 0);
  io_uring_sqe_set_flags(request, IOSQE_CQE_SKIP_SUCCESS);
  name(*request, 0);
}

bool uring_ring::make_room(unsigned count) noexcept {
  room_ = io_uring_sq_space_left(&ring_);
  if (room_ >= count) return true;
  sys::io_uring_submit(&ring_);
  room_ = io_uring_sq_space_left(&ring_);
  return room_ >= count;
}

void uring_ring::cancel_owed() noexcept {
  while (owed_ != 0 && reserve(1)) cancel(owed_cancels_[--owed_]);
}

[[gnu::always_inline]] inline int uring_ring::wait(deadline until) noexcept {
  if (const unsigned linked = linked_; linked != 0) {
    linked_ = 0;
    __kernel_timespec none{};
    io_uring_cqe* first;
    const unsigned all = io_uring_cq_ready(&ring_) + linked;
    if (linked > deferred_at_once)
      return sys::io_uring_submit_and_wait_timeout(&ring_, &first, all, &none, nullptr);
  }
  if (until.is_immediate()) return sys::io_uring_submit_and_get_events(&ring_);
  io_uring_cqe* first;
  if (until.is_never())
    return sys::io_uring_submit_and_wait_timeout(&ring_, &first, 1, nullptr, nullptr);
  const instant wait = std::max<instant>(until.when() - now(), 0);
  __kernel_timespec most{.tv_sec = wait / 1'000'000'000, .tv_nsec = wait % 1'000'000'000};
  return sys::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &most, nullptr);
}

int uring_ring::enter(deadline until) noexcept {
  const int failed = wait(until);
  switch (failed) {
    case -ETIME:
    case -EINTR:
    case -EAGAIN:  // no memory for requests now; they stay in the queue
    case -EBUSY:   // completions have to be read first
      return 0;
    default:
      return std::min(failed, 0);
  }
}

result<void> buffer_ring::open(std::uint32_t count, std::uint32_t bytes) noexcept {
  constexpr std::size_t line = 64;
  const auto pages_of = [](std::size_t size) { return (size + sizeof(page) - 1) / sizeof(page); };
  bytes_ = bytes;
  // An odd number of lines, so that the buffers' beginnings share no cache sets.
  stride_ = static_cast<std::uint32_t>(((bytes + line - 1) / line | 1) * line);
  const std::size_t ring_pages = pages_of(count * sizeof(io_uring_buf));
  if (!pages_.open(ring_pages + pages_of(std::size_t{count} * stride_)))
    return fail("open io_uring", "memory for received buffers", ENOMEM);
  data_ = reinterpret_cast<std::byte*>(pages_.data() + ring_pages);
  count_ = count;
  mask_ = io_uring_buf_ring_mask(count);
  return {};
}

result<void> buffer_ring::provide(uring_ring& ring) noexcept {
  io_uring_buf_ring_init(this->ring());
  io_uring_buf_reg wanted{};
  wanted.ring_addr = reinterpret_cast<std::uintptr_t>(pages_.data());
  wanted.ring_entries = count_;
  wanted.bgid = group;
  const int failed = sys::io_uring_register_buf_ring(&ring.raw(), &wanted, 0);
  if (failed == -EINVAL) return fail(uring_says, "no rings of buffers on this kernel", EINVAL);
  if (failed < 0) return fail("io_uring_register", "a ring of buffers", -failed);
  for (std::uint32_t i = 0; i < count_; ++i) give(static_cast<std::uint16_t>(i));
  publish();
  return {};
}

}  // namespace hinge
