// How long something has run on a CPU, and how long it was ready to and had none.
#pragma once

#include <hinge/time.hpp>

#include <optional>

namespace hinge::bench {

struct cpu_usage {
  nanoseconds ran{0};
  nanoseconds waited{0};  ///< runnable, while others had the CPU

  friend cpu_usage operator-(const cpu_usage& a, const cpu_usage& b) noexcept {
    return {a.ran - b.ran, a.waited - b.waited};
  }
};

/// Of the calling thread. Where the system doesn't tell how long it has waited (all but Linux): 0.
cpu_usage usage_of_this_thread();
/// Of one thread of this process; nothing where the system doesn't tell.
std::optional<cpu_usage> usage_of_thread(int thread);
/// Of all threads that a process has now; nothing where the system doesn't tell, or there is none.
std::optional<cpu_usage> usage_of_process(int process);

/// For usage_of_thread(); -1 where threads have no such number.
int this_thread() noexcept;

}  // namespace hinge::bench
