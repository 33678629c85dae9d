// The door to io_uring, beside sys.hpp: liburing's calls, which return -errno themselves. In a
// build with HINGE_SYS_SEAM (tests only) they go through a table, and a test sees each request
// before it is submitted and all completions before they are read, and may change both.
#pragma once

#include <liburing.h>

#include <csignal>

// One row a call: what it returns, its name, its parameters, its arguments.
// clang-format off
#define HINGE_RING_CALLS(X) \
  X(int, io_uring_queue_init_params, (unsigned entries, io_uring* ring, io_uring_params* terms), \
    (entries, ring, terms))                                                                      \
  X(void, io_uring_queue_exit, (io_uring* ring), (ring))                                         \
  X(int, io_uring_register, (unsigned fd, unsigned what, const void* with, unsigned count),      \
    (fd, what, with, count))                                                                     \
  X(int, io_uring_register_ring_fd, (io_uring* ring), (ring))                                    \
  X(int, io_uring_register_buf_ring, (io_uring* ring, io_uring_buf_reg* buffers, unsigned flags),\
    (ring, buffers, flags))                                                                      \
  X(int, io_uring_submit, (io_uring* ring), (ring))                                              \
  X(int, io_uring_get_events, (io_uring* ring), (ring))                                          \
  X(int, io_uring_submit_and_get_events, (io_uring* ring), (ring))                               \
  X(int, io_uring_submit_and_wait_timeout,                                                       \
    (io_uring* ring, io_uring_cqe** first, unsigned wait, __kernel_timespec* most,               \
     sigset_t* signals), (ring, first, wait, most, signals))
// clang-format on

namespace hinge::sys {

#ifdef HINGE_SYS_SEAM

struct ring_table {
#define HINGE_RING_MEMBER(returned, name, parameters, arguments) returned(*name) parameters;
  HINGE_RING_CALLS(HINGE_RING_MEMBER)
#undef HINGE_RING_MEMBER
  /// A request is complete and will be submitted with the next call.
  void (*prepared)(io_uring_sqe& request);
  /// Completions are about to be read; among them those that were not read the last time.
  void (*completed)(io_uring& ring);
};

/// liburing's own calls, and nothing besides.
extern const ring_table real_ring;
/// The table in force; `real_ring` unless a test has changed it.
extern ring_table current_ring;

#define HINGE_RING_CALL(returned, name, parameters, arguments) \
  inline returned name parameters noexcept { return current_ring.name arguments; }
inline void prepared(io_uring_sqe& request) noexcept { current_ring.prepared(request); }
inline void completed(io_uring& ring) noexcept { current_ring.completed(ring); }
#else
#define HINGE_RING_CALL(returned, name, parameters, arguments) \
  inline returned name parameters noexcept { return ::name arguments; }
inline void prepared(io_uring_sqe&) noexcept {}
inline void completed(io_uring&) noexcept {}
#endif

HINGE_RING_CALLS(HINGE_RING_CALL)
#undef HINGE_RING_CALL

}  // namespace hinge::sys
