// Stored results, from their files.
#pragma once

#include <string>
#include <vector>

#include "stored_result.hpp"

namespace hinge::bench {

/// In this order, each named after its file, without folder and ".json". Throws stored_error, with
/// the path in front, for the first that can't be read.
std::vector<stored_result> read_files(const std::vector<std::string>& paths);

}  // namespace hinge::bench
