// Where a report goes.
#pragma once

#include <string>

namespace hinge::bench {

/// False, and said on stderr, when `path` can't be written; "-" is stdout, "" nowhere.
bool write_to(const std::string& path, const std::string& text);

}  // namespace hinge::bench
