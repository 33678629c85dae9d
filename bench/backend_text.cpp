#include "backend_text.hpp"

#include <array>
#include <cstddef>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

/// IORING_SETUP_*, by their bits (linux/io_uring.h): what none of these is has a number.
constexpr std::array setup_names = {
    "IOPOLL",    "SQPOLL",     "SQ_AFF",        "CQSIZE",        "CLAMP",
    "ATTACH_WQ", "R_DISABLED", "SUBMIT_ALL",    "COOP_TASKRUN",  "TASKRUN_FLAG",
    "SQE128",    "CQE32",      "SINGLE_ISSUER", "DEFER_TASKRUN",
};

std::string setup_text(std::uint32_t flags) {
  std::string text;
  for (std::size_t bit = 0; bit < 32; ++bit) {
    if ((flags >> bit & 1) == 0) continue;
    const std::string name =
        bit < setup_names.size() ? setup_names[bit] : fmt::format("{:#x}", 1U << bit);
    text += (text.empty() ? "IORING_SETUP_" : "|") + name;
  }
  return text.empty() ? "no flags" : text;
}

}  // namespace

std::string backend_text(std::string_view name, const poller_limits& limits) {
  if (limits.requests != 0) {
    return fmt::format("{}: {} submissions, {} completions, {}, {} receive buffers {} bytes apart",
                       name, limits.requests, limits.completions, setup_text(limits.setup_flags),
                       limits.buffer_count, limits.buffer_stride);
  }
  return fmt::format("{}: connections edge-triggered, listeners level-triggered{}", name,
                     limits.asks_to_send ? ", room to send asked for" : "");
}

}  // namespace hinge::bench
