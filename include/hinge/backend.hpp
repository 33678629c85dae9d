// The backends by name: which ones there are, which this process can use, and which one is taken.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hinge {

/// All that hinge knows, also those that a build leaves out.
enum class backend : std::uint8_t {
  automatic,  ///< the first of built_backends() that can be used
  epoll,
  io_uring,
};

/// "auto", "epoll", "uring"; of a poller the same as its name().
HINGE_API std::string_view backend_name(backend which) noexcept;
/// The other way round; nothing for another name. The backend need not be in this build.
HINGE_API std::optional<backend> backend_named(std::string_view name) noexcept;

/// The backends of this build, the preferred one first; without `automatic`. io_uring is before
/// epoll: what many connections want at one time costs it one system call and less CPU, and
/// elsewhere the two are alike.
HINGE_API std::span<const backend> built_backends() noexcept;

/// What became of one backend as a candidate.
struct backend_verdict {
  backend which = backend::automatic;
  bool built = false;
  /// Not usable: what was refused, and with which errno. Of what isn't built EINVAL.
  result<void> usable;

  /// "self-test passed on Linux 6.1.0", "refused: io_uring_setup a ring: EPERM: Operation not
  /// permitted (kernel.io_uring_disabled, or a seccomp filter)", "not built".
  HINGE_API std::string text() const;
};

/// Which backend is taken for `automatic`, and why.
struct backend_choice {
  /// All candidates, the preferred one first.
  std::array<backend_verdict, 2> candidates;
  backend chosen = backend::automatic;

  /// One sentence: "io_uring: self-test passed on Linux 6.1.0", "epoll: io_uring refused: ...",
  /// "epoll: io_uring not built".
  HINGE_API std::string text() const;
};

/// Asks each candidate. io_uring is tried by use: a ring accepts a connection on loopback, receives
/// and sends (a fraction of a millisecond, at most a second). Done once a process and remembered,
/// unless it was refused for what may pass (memory, descriptors, time): that is tried again when
/// asked again. Any thread. What only opening tells is not in it: epoll is always usable here.
HINGE_API backend_choice backend_report() noexcept;

}  // namespace hinge
