// A system whose means to confine a process aren't known here, or never kill for what a backend
// does.
#include "confinement.hpp"

namespace hinge {

std::optional<confinement> confinement_here() noexcept { return confinement(); }
bool is_privileged(privilege) noexcept { return false; }
void tell_confinement(text_writer&, const error&) noexcept {}
result<void> survives_kqueue() noexcept { return {}; }

}  // namespace hinge
