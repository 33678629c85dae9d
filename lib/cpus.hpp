// The CPUs that this process may use, and threads that are pinned to one.
#pragma once

#include <pthread.h>

#include <vector>

namespace hinge {

/// Their numbers, in order; where the system doesn't tell, 0 and so on up to their number.
std::vector<int> usable_cpus() noexcept;

/// Of a thread that is to be made. 0 or an errno; EOPNOTSUPP where the system has no such call.
int pin_to(pthread_attr_t& thread, int cpu) noexcept;

}  // namespace hinge
