#include "list_command.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "backend_list.hpp"
#include "exit_code.hpp"
#include "output_file.hpp"
#include "units.hpp"

namespace hinge::bench {

void add_list_options(command line, list_arguments& into) {
  line.option("--backend", "list", "in place of a command: which backends can be used, and why",
              [&](const auto& text) {
                into.given = text == "list";
                if (!into.given) throw units::unit_error("only list goes without a command");
              });
  line.option("--json", "FILE", "also write the result here, as JSON; - is stdout",
              [&](const auto& text) { into.json_path = text; });
}

int run_command(list_arguments given, const std::atomic<bool>&) {
  const backend_listing listing = list_backends("hinge-bench");
  fmt::print(given.json_path == "-" ? stderr : stdout, "{}", listing.text);
  return write_to(given.json_path, listing.json) ? measured : missed;
}

}  // namespace hinge::bench
