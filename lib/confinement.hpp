// What the system lets the calling thread do, as far as a backend depends on it: filters of system
// calls, privileges, switches. Linux's is in proc.cpp; unconfined.cpp is for systems where none of
// this is known.
#pragma once

#include <hinge/error.hpp>

#include <cstdint>
#include <optional>

namespace hinge {

class text_writer;

/// What a verdict on a backend rests on, and a program may change as it runs. As long as this is
/// the same, so is what was permitted and forbidden: for a thread; and for all threads of which it
/// is the same, `as_begun`.
struct confinement {
  /// The filters are those that the process began with, and so each of its threads. A filter that
  /// came later may be a thread's own: another one's are perhaps as many, and not the same.
  bool as_begun = true;
  std::uint64_t filters = 0;  ///< how many: none is ever taken away
  std::uint64_t capabilities = 0;
  int switched_off = 0;  ///< kernel.io_uring_disabled
  bool operator==(const confinement&) const noexcept = default;
};
/// Nothing: it can't be read, or not as exactly.
std::optional<confinement> confinement_here() noexcept;

/// What exempts a process from a limit.
enum class privilege : std::uint8_t { none, lock_memory, have_more };
bool is_privileged(privilege one) noexcept;

/// Adds what of this may be why that was refused: "kernel.io_uring_disabled=2, seccomp mode 2".
void tell_confinement(text_writer& out, const error& refusal) noexcept;

/// Whether this process lives on that makes the system calls of a kqueue which is a library's; see
/// survives() of seccomp.hpp. Elsewhere kqueue is the system's own, and nothing is done.
result<void> survives_kqueue() noexcept;

}  // namespace hinge
