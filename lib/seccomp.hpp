// A seccomp filter may kill for a system call: what it would do is found out by a child.
#pragma once

#include <hinge/error.hpp>

#include <array>
#include <span>

namespace hinge {

struct kernel_call {
  const char* name;
  long number;
  std::array<long, 6> with = {-1};
};

/// Whether a process lives on that makes these system calls. Only a seccomp filter can kill for
/// one: without it, nothing is done. With it, or when that can't be read, a child makes them, with
/// arguments that do no harm. Errors: `says` "killed by SIGSYS at connect", EPERM, and without the
/// call's name when it is the first; "killed by signal 9", EINTR; clone or wait4 with their errno,
/// EPERM also when a filter kills the child before it comes to these calls; "self-test:", ETIMEDOUT
/// after a second.
result<void> survives(const char* says, std::span<const kernel_call> calls) noexcept;

}  // namespace hinge
