// Stored results: from their files, and to them.
#pragma once

#include <string>
#include <vector>

#include "stored_result.hpp"

namespace hinge::bench {

/// In this order, each named after its file, without folder and ".json". Throws stored_error, with
/// the path in front, for the first that can't be read.
std::vector<stored_result> read_files(const std::vector<std::string>& paths);

/// A result in the JSON that it is stored as, and the page of it; each as write_to() does.
bool write_result(const std::string& json_path, const std::string& html_path,
                  const std::string& stored);

}  // namespace hinge::bench
