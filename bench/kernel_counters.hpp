// What the kernel counts around a load: connections that it turned away, segments that it sent
// again, times that it held processes back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hinge::bench {

enum class kernel_counter : std::uint8_t {
  listen_overflows,       ///< an accept queue was full
  listen_drops,           ///< a SYN or a last ACK was dropped, for that or another reason
  request_queue_drops,    ///< TCPReqQFullDrop: the queue of half-open ones was full
  request_queue_cookies,  ///< TCPReqQFullDoCookies: the same, answered by a cookie
  syn_cookies_sent,
  segments_sent_again,
  syns_sent_again,
  throttled,     ///< periods in which this process's cgroup had used up its quota
  stolen_ticks,  ///< the host ran something else; 1/100 s, all CPUs
};
inline constexpr std::size_t kernel_counters = 9;
std::string_view name_of(kernel_counter) noexcept;

/// Of this network namespace, cgroup and machine; 0 for what the system doesn't count.
struct kernel_counts {
  std::array<std::int64_t, kernel_counters> all{};

  std::int64_t operator[](kernel_counter which) const noexcept {
    return all[static_cast<std::size_t>(which)];
  }
  std::int64_t& operator[](kernel_counter which) noexcept {
    return all[static_cast<std::size_t>(which)];
  }
  friend kernel_counts operator-(kernel_counts a, const kernel_counts& b) noexcept {
    for (std::size_t i = 0; i < kernel_counters; ++i) a.all[i] -= b.all[i];
    return a;
  }
};

kernel_counts read_kernel_counts();

}  // namespace hinge::bench
