// What may forbid io_uring to this process: a seccomp filter, a switch of the kernel.
#pragma once

#include <hinge/error.hpp>

namespace hinge {

/// SECCOMP_MODE_FILTER.
inline constexpr int seccomp_filtered = 2;
/// Of the calling thread: 0 is none; -1 can't be read.
int seccomp_mode() noexcept;
/// kernel.io_uring_disabled; -1: there is no such switch, or it can't be read.
int uring_disabled() noexcept;

/// Whether a process lives on that makes the system calls of io_uring and of its self-test. Only a
/// seccomp filter can kill for one: without it, nothing is done. With it, or when that can't be
/// read, a child makes them. Errors: uring_says "killed by SIGSYS", EPERM, and at which call unless
/// it is io_uring_setup; "self-test: a child process": ETIMEDOUT after a second, or what clone(2)
/// and wait4(2) say.
result<void> uring_survives() noexcept;

}  // namespace hinge
