// What a process has in memory that is its own.
#pragma once

#include <cstdint>
#include <optional>

namespace hinge::bench {

/// Anonymous bytes in memory, of each page that is touched, to the page: not its program and files.
/// Nothing where the system doesn't tell (all but Linux), or doesn't tell this user.
std::optional<std::uint64_t> memory_of_process(int process);

}  // namespace hinge::bench
