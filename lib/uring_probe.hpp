// Whether io_uring can be used in this process.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/error.hpp>

namespace hinge {

/// What a self-test says: a ring of least size accepts a loopback connection, receives twice, sends
/// and closes. Before it survives() where a filter may kill. A remembered_verdict. Errors: those of
/// opening a ring; call "self-test:" with the step; uring_says.
void ask_uring(backend_verdict& into) noexcept;
result<void> uring_verdict() noexcept;

#ifdef HINGE_SYS_SEAM
/// The next who asks makes the test anew.
void forget_uring_verdict() noexcept;
#endif

}  // namespace hinge
