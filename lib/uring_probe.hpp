// Whether io_uring can be used in this process.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/error.hpp>

namespace hinge {

/// What a self-test says: a ring of least size accepts a loopback connection, receives twice, sends
/// and closes. Before it, where a filter may kill, uring_survives(). Made by the first who asks, in
/// his thread, while others wait; remembered, unless it failed for what may pass (memory,
/// descriptors, time). Errors: those of opening a ring; call "self-test:" with the step;
/// uring_says.
void ask_uring(backend_verdict& into) noexcept;
result<void> uring_verdict() noexcept;

#ifdef HINGE_SYS_SEAM
/// The next who asks makes the test anew.
void forget_uring_verdict() noexcept;
#endif

}  // namespace hinge
