#include "simulator/ring_hooks.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "uring_token.hpp"

namespace hinge::test {

ring_hooks* ring_hooks::current_ = nullptr;

ring_hooks::ring_hooks() {
  current_ = this;
  sys::current_ring.prepared = [](io_uring_sqe& request) { current_->prepared(request); };
  sys::current_ring.completed = [](io_uring& ring) { current_->completed(ring); };
}

ring_hooks::~ring_hooks() {
  sys::current_ring = sys::real_ring;
  current_ = nullptr;
}

void ring_hooks::prepared(io_uring_sqe& request) {
  log_.push_back({request.opcode, request.fd, request.msg_flags, request.flags, request.ioprio});
  if (request.opcode != IORING_OP_ACCEPT || failure_ == 0) return;
  // The kernel itself refuses it, so that all that follows from a refusal follows.
  request.fd = -1;
  failed_name_ = request.user_data;
  failed_code_ = std::exchange(failure_, 0);
}

void ring_hooks::completed(io_uring& ring) {
  const unsigned head = *ring.cq.khead;
  if (seen_ - head > io_uring_cq_ready(&ring)) seen_ = head;
  const unsigned end = head + io_uring_cq_ready(&ring);
  for (; seen_ != end; ++seen_) look_at(ring, ring.cq.cqes[seen_ & (ring.cq.ring_entries - 1)]);
}

void ring_hooks::look_at(io_uring& ring, io_uring_cqe& one) {
  if (request_of(one.user_data) != uring_request::accept) return;
  if (failed_code_ != 0 && one.user_data == failed_name_ && one.res == -EBADF)
    one.res = -std::exchange(failed_code_, 0);
  if (ended_name_ != 0 && one.user_data == ended_name_ && (one.flags & IORING_CQE_F_MORE) == 0) {
    one.user_data = ended_name_ = 0;
    return;
  }
  if (one.res >= 0 && failure_ != 0) fail(ring, one);
  ++accepts_;
  empty_accepts_ += one.res == -EAGAIN;
}

void ring_hooks::fail(io_uring& ring, io_uring_cqe& accepted) {
  ::close(accepted.res);
  accepted.res = -std::exchange(failure_, 0);
  if ((accepted.flags & IORING_CQE_F_MORE) == 0) return;
  accepted.flags &= ~IORING_CQE_F_MORE;
  // The kernel's side ends before anything else is submitted; nobody hears of it.
  ended_name_ = accepted.user_data;
  io_uring_sqe* const request = io_uring_get_sqe(&ring);
  io_uring_prep_cancel64(request, ended_name_, 0);
  io_uring_sqe_set_flags(request, IOSQE_CQE_SKIP_SUCCESS);
  io_uring_sqe_set_data64(request, 0);
}

}  // namespace hinge::test
