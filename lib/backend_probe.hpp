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

/// A verdict that each thread remembers for itself, as long as it is confined as it was when it
/// asked. Threads under the filters that the process began with share what the first of them finds
/// out, while the others wait; a thread with more filters finds it out alone.
class remembered_verdict {
public:
  /// The only one of that backend.
  explicit constexpr remembered_verdict(backend of) noexcept : of_(of) {}

  /// Not remembered when it was refused for what may pass (memory, descriptors, time).
  void ask(backend_verdict& into, void (*test)(backend_verdict& into) noexcept) noexcept;
  /// This thread, or one that hasn't asked yet, makes the test anew when it asks next.
  void forget() noexcept;

  struct memory {
    std::optional<confinement> under;  ///< nothing: there is no verdict
    backend_verdict known;
  };

private:
  memory& own() const noexcept;

  backend of_;
  std::mutex guard_;
  memory shared_;  ///< under the process's first filters: the last one found out
};

}  // namespace hinge
