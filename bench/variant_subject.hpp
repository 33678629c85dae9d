// hinge with handlers that a comparison tells apart from the usual ones. In a file of their own:
// the compiler makes other code of a loop that it sees with more handlers, and that one is counted.
#pragma once

#include <memory>

#include "subject.hpp"

namespace hinge::bench {

/// Sends its last reply, then closes. Throws std::invalid_argument for another work than crr.
template <class Poller>
std::unique_ptr<subject> make_parting(server_work work, const listener_options& options);
/// Sets an option more for each connection. The same for another work than ac.
template <class Poller>
std::unique_ptr<subject> make_needless(server_work work, const listener_options& options);

}  // namespace hinge::bench
