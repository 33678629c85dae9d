// What may forbid a backend to this process on Linux: a seccomp filter, a switch of the kernel, a
// privilege that it lacks.
#pragma once

#include <hinge/error.hpp>

#include <array>
#include <span>

namespace hinge {

class text_writer;

/// SECCOMP_MODE_FILTER.
inline constexpr int seccomp_filtered = 2;
/// Of the calling thread: 0 is none; -1 can't be read.
int seccomp_mode() noexcept;
/// kernel.io_uring_disabled; -1: there is no such switch, or it can't be read.
int uring_disabled() noexcept;
/// Whether the calling thread has that capability (CAP_IPC_LOCK) in force.
bool is_capable(int capability) noexcept;
/// "Linux 6.1.0", or "this kernel".
void add_kernel(text_writer& out) noexcept;

struct kernel_call {
  const char* name;
  long number;
  std::array<long, 3> with = {-1, 0, 0};
};

/// Whether a process lives on that makes these system calls. Only a seccomp filter can kill for
/// one: without it, nothing is done. With it, or when that can't be read, a child makes them, with
/// arguments that do no harm. Errors: `says` "killed by SIGSYS at connect", EPERM, and without the
/// call's name when it is the first; "killed by signal 9", EINTR; clone or wait4 with their errno;
/// "self-test:", ETIMEDOUT after a second.
result<void> survives(const char* says, std::span<const kernel_call> calls) noexcept;

}  // namespace hinge
