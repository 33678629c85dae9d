// What a server does for one connection (echo: one message), counted rather than timed: the same
// each time, whatever else the machine does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contender.hpp"

namespace hinge::bench {

enum class counted : std::uint8_t {
  system_calls,       ///< of the server
  user_instructions,  ///< of the server, as callgrind counts them
  packets,            ///< of both ends, the client closing with a FIN
  bytes,              ///< of these packets, headers of IP and TCP and the link's 14 included
};
inline constexpr std::size_t counted_kinds = 4;
std::string_view name_of(counted) noexcept;

struct count {
  std::optional<double> each;
  std::string missing = {};  ///< why there is none
};
using counts = std::array<count, counted_kinds>;

/// Starts the server anew, on the CPU. `own_network`: nobody else uses this one. Throws
/// std::runtime_error when the server breaks.
counts count_each(const contender& who, server_work work, unsigned cpu, bool own_network);

}  // namespace hinge::bench
