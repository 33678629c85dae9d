// What Linux says in /proc of the calling thread, and of itself.
#pragma once

namespace hinge {

class text_writer;

/// SECCOMP_MODE_FILTER.
inline constexpr int seccomp_filtered = 2;
/// Of the calling thread: 0 is none; -1 can't be read.
int seccomp_mode() noexcept;
/// "Linux 6.1.0", or "this kernel".
void add_kernel(text_writer& out) noexcept;

}  // namespace hinge
