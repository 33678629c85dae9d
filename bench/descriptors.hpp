// The limit of descriptors (RLIMIT_NOFILE), looked at before a program runs into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hinge::bench {

/// Raises this process's soft limit to `needed` where the hard one permits. Otherwise says in words
/// how many are needed and how many there are.
std::optional<std::string> descriptor_shortage(std::uint64_t needed);

}  // namespace hinge::bench
