// Proxies among the servers that are compared; apart from them, so that the compiler's limits of
// inlining, which are a file's, don't make one server slower for another.
#pragma once

#include "subject.hpp"

namespace hinge::bench {

/// The work is proxy or keep.
template <class Poller>
std::unique_ptr<subject> make_proxy(server_work work, const listener_options& options);

}  // namespace hinge::bench
