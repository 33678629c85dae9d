// In place of comparing, where there is no Linux.
#include <stdexcept>

#include "compare_command.hpp"
#include "own_network.hpp"
#include "server_process.hpp"

namespace hinge::bench {

namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error("servers are compared, and started as processes, on Linux alone");
}

}  // namespace

void add_compare_options(command line, compare_arguments&) {
  line.options("NAMES", "A B [C ...]", "on Linux alone", [](const auto&) {});
}
int run_command(compare_arguments, const std::atomic<bool>&) { refuse(); }

bool enter_fresh_network() { return false; }
std::optional<int> serve_as_contender(int, char**) { return {}; }
contender find_contender(std::string_view) { refuse(); }
server_process::server_process(const contender&, server_work, std::optional<unsigned>) { refuse(); }
server_process::~server_process() = default;

}  // namespace hinge::bench
