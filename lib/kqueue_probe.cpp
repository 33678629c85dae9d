#include <hinge/kqueue.hpp>

#include "backend_probe.hpp"
#include "confinement.hpp"
#include "wake_probe.hpp"

namespace hinge {

void ask_kqueue(backend_verdict& into) noexcept {
  ask_by_wake<kqueue_poller>(
      into, "kevent", [](backend_verdict& said) noexcept { said.usable = survives_kqueue(); });
}

}  // namespace hinge
