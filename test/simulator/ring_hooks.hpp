// Looks at every request of an io_uring backend, and makes accepts fail.
#pragma once

#include "ring_sys.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hinge::test {

struct request_seen {
  std::uint8_t opcode;
  int fd;
  std::uint32_t call_flags;  // of the system call that the request stands for
  std::uint8_t link_flags;   // IOSQE_*
  std::uint16_t stays;       // ioprio: multishot and its kin

  bool stays_armed() const {
    return opcode == IORING_OP_RECV && (stays & IORING_RECV_MULTISHOT) != 0;
  }
};

/// In force while it lives; one at a time. For the thread that turns the loop.
class ring_hooks {
public:
  ring_hooks();
  ~ring_hooks();
  ring_hooks(const ring_hooks&) = delete;
  ring_hooks& operator=(const ring_hooks&) = delete;

  /// All requests, in the order in which they were made.
  const std::vector<request_seen>& log() const { return log_; }
  /// Completions of accepts; of these, those that found nobody.
  std::uint64_t accepts() const { return accepts_; }
  std::uint64_t empty_accepts() const { return empty_accepts_; }

  /// The next accept fails with that errno and takes its connection along, if it had one already.
  void fail_next_accept(int code) { failure_ = code; }

private:
  void prepared(io_uring_sqe& request);
  void completed(io_uring& ring);
  void look_at(io_uring& ring, io_uring_cqe& one);
  void fail(io_uring& ring, io_uring_cqe& accepted);

  static ring_hooks* current_;
  std::vector<request_seen> log_;
  std::uint64_t accepts_ = 0;
  std::uint64_t empty_accepts_ = 0;
  unsigned seen_ = 0;  // completions, as the ring counts them
  int failure_ = 0;
  std::uint64_t failed_name_ = 0;  // of a request that was made to fail
  int failed_code_ = 0;
  std::uint64_t ended_name_ = 0;  // of a multishot that was said to have ended
};

}  // namespace hinge::test
