// What the io_uring backend builds on: a ring with its ladder of setups, and the ring of buffers
// that the kernel receives into.
#pragma once

#include <hinge/error.hpp>
#include <hinge/raw_array.hpp>
#include <hinge/time.hpp>
#include <hinge/uring.hpp>

#include <cstddef>
#include <cstdint>

#include "ring_sys.hpp"
#include "sys.hpp"

namespace hinge {

/// The call of an error whose argument says all: "no multishot accept on this kernel".
inline constexpr const char* uring_says = "io_uring:";

class buffer_ring;

/// A submission and a completion queue. Belongs to the thread that calls start().
class uring_ring {
public:
  uring_ring() noexcept = default;
  ~uring_ring() { close(); }
  uring_ring(const uring_ring&) = delete;
  uring_ring& operator=(const uring_ring&) = delete;

  /// Any thread. The best setup that this kernel has, with the buffers provided to it. While memory
  /// is short for the two it is tried again, for at most 1.5 s in a row in this process, and then
  /// with smaller queues, down to `least`. `cancels`: how many may be owed at a time.
  result<void> open(const uring_options& options, std::uint32_t cancels,
                    buffer_ring& buffers) noexcept;
  static constexpr uring_options least = {.submissions = 32, .completions = 64};
  /// Ends all requests. Descriptors whose close was not submitted are closed.
  void close() noexcept;
  bool is_open() const noexcept { return open_; }
#ifdef HINGE_SYS_SEAM
  /// The next that finds memory short waits for it again.
  static void forget_shortage() noexcept;
#endif

  /// Makes the calling thread the owner. 0 or -errno.
  int start() noexcept;
  bool started() const noexcept { return started_; }
  /// The calling thread isn't the owner. Its calls would go to a ring of its own, if it has one:
  /// a registered descriptor is a number of the thread's.
  bool foreign() const noexcept { return owner_ != this_thread(); }

  /// Before a turn's requests: looks how many the submission queue has room for.
  void begin() noexcept {
    room_ = io_uring_sq_space_left(&ring_);
    if (owed_ != 0) [[unlikely]]
      cancel_owed();
  }
  /// The next free request, or null: the kernel doesn't take those that stand there already.
  io_uring_sqe* next() noexcept {
    if (room_ == 0 && !make_room(1)) [[unlikely]]
      return nullptr;
    --room_;
    io_uring_sqe* const request = &ring_.sq.sqes[ring_.sq.sqe_tail++ & ring_.sq.ring_mask];
#ifdef IO_URING_VERSION_MAJOR
    // Since 2024 io_uring_prep_*() expect that of io_uring_get_sqe() (liburing's pull request
    // 1127); in 2.3, which has no such macro, they do it themselves.
    request->flags = 0;
    request->ioprio = 0;
    request->rw_flags = 0;
    request->buf_index = 0;
    request->personality = 0;
    request->file_index = 0;
    request->addr3 = 0;
    request->__pad2[0] = 0;
#endif
    return request;
  }
  /// Makes sure that `count` requests can follow one another in one submission.
  bool reserve(unsigned count) noexcept { return room_ >= count || make_room(count); }

  /// Completes a request: its completion will carry `name`.
  void name(io_uring_sqe& request, std::uint64_t name) noexcept {
    io_uring_sqe_set_data64(&request, name);
    sys::prepared(request);
  }
  /// Asks for the end of the request of that name, whose completion tells how it came. What the
  /// kernel doesn't take now is asked in the next turn.
  void cancel(std::uint64_t name) noexcept;
  void close(int fd) noexcept {
    io_uring_sqe* const request = next();
    if (request == nullptr) [[unlikely]] {
      sys::close(fd);
      return;
    }
    io_uring_prep_close(request, fd);
    io_uring_sqe_set_flags(request, IOSQE_CQE_SKIP_SUCCESS);
    name(*request, 0);
  }

  /// A request stands linked behind another one, and both will complete at once.
  void expect_linked() noexcept { ++linked_; }
  /// Submits, and waits for a completion until then. 0 or -errno; what a wait ends with is none.
  int enter(deadline until) noexcept;

  bool unsubmitted() const noexcept { return io_uring_sq_ready(&ring_) != 0; }
  /// There are completions, or requests that wait for the next turn: none is to be waited for.
  bool hurries() const noexcept { return io_uring_cq_ready(&ring_) != 0 || owed_ != 0; }
  /// Completions that are there and were not passed over, by their place: first_completion() up to
  /// past_completions().
  unsigned first_completion() const noexcept { return *ring_.cq.khead; }
  unsigned past_completions() const noexcept { return io_uring_smp_load_acquire(ring_.cq.ktail); }
  const io_uring_cqe& completion(unsigned place) const noexcept {
    return ring_.cq.cqes[place & ring_.cq.ring_mask];
  }
  void pass_completions(unsigned count) noexcept { io_uring_cq_advance(&ring_, count); }
  /// What had overflowed the queue is in it now. False: nothing had, or the owner alone could see.
  bool fetch_overflown() noexcept {
    return io_uring_cq_has_overflow(&ring_) && !foreign() &&
           sys::io_uring_get_events(&ring_) >= 0 && io_uring_cq_ready(&ring_) != 0;
  }
  io_uring& raw() noexcept { return ring_; }

private:
  static const void* this_thread() noexcept {
#if defined __x86_64__ || defined __aarch64__
    return __builtin_thread_pointer();
#else
    thread_local char mine;
    return &mine;
#endif
  }
  result<void> set_up(const uring_options& size) noexcept;
  bool make_room(unsigned count) noexcept;
  int wait(deadline until) noexcept;
  void cancel_owed() noexcept;
  void own() noexcept;
  void disown() noexcept;

  io_uring ring_{};
  unsigned room_ = 0;  // at least so many requests are free
  unsigned linked_ = 0;
  raw_array<std::uint64_t> owed_cancels_;
  std::uint32_t owed_ = 0;
  std::uint32_t most_owed_ = 0;
  /// Null again when that thread has ended: the next one may have its place in memory.
  const void* owner_ = nullptr;
  struct owned_rings;
  owned_rings* owned_with_ = nullptr;
  uring_ring* next_owned_ = nullptr;
  bool open_ = false;
  bool started_ = false;
};

/// Buffers that received bytes are put into, provided to the kernel through a ring.
class buffer_ring {
public:
  static constexpr int group = 0;

  /// Takes the memory, which has to outlive the ring: the kernel writes into it. `count`: a power
  /// of two.
  result<void> open(std::uint32_t count, std::uint32_t bytes) noexcept;
  /// Gives all buffers to the kernel, once.
  result<void> provide(uring_ring& ring) noexcept;

  std::byte* data() const noexcept { return data_; }
  std::uint32_t stride() const noexcept { return stride_; }
  std::uint32_t count() const noexcept { return count_; }
  /// Buffers that the kernel has, as far as completions were read.
  std::uint32_t free() const noexcept { return free_; }
  void taken() noexcept { --free_; }

  /// Gives one back; the kernel sees it with the next publish().
  void give(std::uint16_t buffer) noexcept {
    io_uring_buf_ring_add(ring(), data_ + std::size_t{buffer} * stride_, bytes_, buffer, mask_,
                          static_cast<int>(added_++));
    ++free_;
  }
  void publish() noexcept {
    if (added_ != 0) io_uring_buf_ring_advance(ring(), static_cast<int>(added_));
    added_ = 0;
  }

private:
  struct alignas(4096) page {
    std::byte bytes[4096];
  };
  io_uring_buf_ring* ring() noexcept { return reinterpret_cast<io_uring_buf_ring*>(pages_.data()); }

  raw_array<page> pages_;      // the ring, and the buffers behind it
  std::byte* data_ = nullptr;  // of buffer 0
  std::uint32_t bytes_ = 0;
  std::uint32_t stride_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t free_ = 0;
  std::uint32_t added_ = 0;
  int mask_ = 0;
};

}  // namespace hinge
