// Each backend is tried by use: a kernel, a filter or a limit may refuse any call of it.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/error.hpp>

#include <mutex>
#include <optional>

#include "confinement.hpp"

namespace hinge {

/// What these say: usable, or what was refused and what may be why. Any thread. See wake_probe.hpp;
/// for io_uring uring_probe.hpp.
void ask_epoll(backend_verdict& into) noexcept;
void ask_kqueue(backend_verdict& into) noexcept;

/// Adds what the system says of itself that may be why it was refused, as far as this thread sees.
void look_around(backend_verdict& refused) noexcept;

/// A verdict that is found out by the first who asks, while others wait, and once more by who is
/// confined otherwise: by a filter that came later, or that is another thread's.
class remembered_verdict {
public:
  /// Not remembered when it was refused for what may pass (memory, descriptors, time).
  void ask(backend_verdict& into, void (*test)(backend_verdict& into) noexcept) noexcept;
  /// The next who asks makes the test anew.
  void forget() noexcept;

private:
  std::mutex guard_;
  std::optional<backend_verdict> known_;
  std::optional<confinement> known_for_;
};

}  // namespace hinge
