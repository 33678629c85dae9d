#include "cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace hinge {

std::vector<int> usable_cpus() noexcept {
  std::vector<int> all;
#ifdef HINGE_HAVE_CPU_SETS
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &mask)) all.push_back(cpu);
#endif
  if (!all.empty()) return all;
  const int count = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U));
  for (int cpu = 0; cpu < count; ++cpu) all.push_back(cpu);
  return all;
}

int pin_to([[maybe_unused]] pthread_attr_t& thread, [[maybe_unused]] int cpu) noexcept {
#ifdef HINGE_HAVE_CPU_SETS
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(cpu), &one);
  return pthread_attr_setaffinity_np(&thread, sizeof one, &one);
#else
  return EOPNOTSUPP;
#endif
}

}  // namespace hinge
