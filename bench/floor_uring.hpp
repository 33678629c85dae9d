// The floor under the io_uring backend: the fastest of the rings that were measured, and no more.
// A send never waits: once submitted it is over and its buffer free; only a short one is told. So a
// last reply needs no link to the close behind it.
#pragma once
#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>

#include "floor_work.hpp"

struct floor_uring {
  enum request : unsigned long { accept, receive, send, close };  // its name: this, a descriptor
  static constexpr unsigned buffers = 2048, stride = 2048 + 64, room = buffers * (stride + 16);
  floor_work work;
  io_uring ring;
  char* bytes = (char*)mmap(0, room, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  io_uring_buf_ring* pool = (io_uring_buf_ring*)(bytes + buffers * stride);
  int failed, returning = 0;  // to open, -errno; buffers that the kernel gets in the next turn
  unsigned long closed = 0;

  floor_uring(floor_work does, int listener) : work(does) {
    io_uring_params wanted{};
    wanted.cq_entries = 4096, wanted.flags = IORING_SETUP_CQSIZE;
    wanted.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    io_uring_buf_reg mine{(unsigned long)pool, buffers, 0, 0, {}};
    if ((failed = io_uring_queue_init_params(512, &ring, &wanted)) < 0) return;
    if ((failed = io_uring_register_buf_ring(&ring, &mine, 0)) < 0) return;
    io_uring_register_ring_fd(&ring);
    // Thousands may have sent before the accept. An echo has fewer: each is used in turn, and few
    // stay in the cache.
    for (unsigned i = 0; i < (work == floor_work::echo ? 256 : buffers); ++i) give_back(i);
    arm(listener);
  }
  void give_back(unsigned i) {
    io_uring_buf_ring_add(pool, bytes + i * stride, stride, i, buffers - 1, returning++);
  }
  io_uring_sqe* next(request what, int fd) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    return sqe->user_data = what << 32 | unsigned(fd), sqe;
  }
  void arm(int fd) { io_uring_prep_multishot_accept(next(accept, fd), fd, 0, 0, SOCK_CLOEXEC); }
  void receive_on(int fd) {
    io_uring_sqe* sqe = next(receive, fd);
    io_uring_prep_recv(sqe, fd, 0, 0, 0), sqe->flags = IOSQE_BUFFER_SELECT;
    if (work == floor_work::echo) sqe->ioprio = IORING_RECV_MULTISHOT;
  }
  void end(int fd) {
    io_uring_sqe* sqe = next(close, fd);
    io_uring_prep_close(sqe, fd), sqe->flags = IOSQE_CQE_SKIP_SUCCESS, ++closed;
  }
  bool turn(int timeout_ms) {  // -1 or 0; false: broken, errno says why
    const int got = failed < 0   ? failed
                    : timeout_ms ? io_uring_submit_and_wait(&ring, 1)
                                 : io_uring_submit_and_get_events(&ring);
    if (got < 0 && got != -EINTR) return errno = -got, false;
    if (io_uring_sq_ready(&ring) == 0) io_uring_buf_ring_advance(pool, returning), returning = 0;
    const unsigned first = *ring.cq.khead, count = io_uring_cq_ready(&ring);
    for (unsigned i = first; i != first + count; ++i) take(ring.cq.cqes[i & ring.cq.ring_mask]);
    return io_uring_cq_advance(&ring, count), true;
  }
  void take(const io_uring_cqe& cqe) {
    if (io_uring_sq_space_left(&ring) < 2) io_uring_submit(&ring);
    const int fd = int(unsigned(cqe.user_data)), what = int(cqe.user_data >> 32), got = cqe.res;
    const bool last = work == floor_work::crr, more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if (what == accept && got >= 0) work == floor_work::ac ? end(got) : receive_on(got);
    if (what == accept && !more) got == -EMFILE ? void(failed = got) : arm(fd);
    if (what == receive && got > 0) {
      const int buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT, length = last && got > 64 ? 64 : got;
      const int how = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL | (last ? MSG_MORE : 0);
      io_uring_sqe* sqe = next(send, fd);
      io_uring_prep_send(sqe, fd, bytes + buffer * stride, length, how), give_back(buffer);
      sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    }
    if (what == receive && !more) got == -ENOBUFS || (got > 0 && !last) ? receive_on(fd) : end(fd);
    if (what == send && !last && got != -EPIPE) shutdown(fd, SHUT_RDWR);  // nobody reads
  }
};
