// Each backend is tried by use: a kernel, a filter or a limit may refuse any call of it.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/error.hpp>

#include <mutex>
#include <optional>

namespace hinge {

/// What these say: usable, or what was refused and what may be why. Any thread. epoll and kqueue
/// hear a wake-up of their own; for io_uring see uring_probe.hpp.
void ask_epoll(backend_verdict& into) noexcept;
void ask_kqueue(backend_verdict& into) noexcept;

/// Adds what the system says of itself that may be why it was refused, as far as this thread sees.
void look_around(backend_verdict& refused) noexcept;

/// A verdict that is found out once a process, by the first who asks, while others wait.
class remembered_verdict {
public:
  /// Not remembered when it was refused for what may pass (memory, descriptors, time).
  void ask(backend_verdict& into, void (*test)(backend_verdict& into) noexcept) noexcept;
  /// The next who asks makes the test anew.
  void forget() noexcept;

private:
  std::mutex guard_;
  std::optional<backend_verdict> known_;
};

}  // namespace hinge
