// Where a figure was measured: what a reader needs to know before comparing it with another one.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hinge::bench {

/// Names and values, in the order in which they are to be read: "kernel", "cpu", "mitigations",
/// "net.core.somaxconn", "compiler", "commit". What the system doesn't tell is missing.
using environment = std::vector<std::pair<std::string, std::string>>;

environment read_environment();

}  // namespace hinge::bench
