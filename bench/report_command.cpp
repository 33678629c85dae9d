#include "report_command.hpp"

#include "exit_code.hpp"
#include "output_file.hpp"
#include "page.hpp"
#include "stored_files.hpp"
#include "units.hpp"

namespace hinge::bench {

void add_report_options(command line, report_arguments& into) {
  line.options("results", "FILE", "what --json has written",
               [&](const auto& path) { into.stored.push_back(path); });
  line.option("--html", "FILE", "write a page for a browser here, with plots; - is stdout",
              [&](const auto& text) { into.html_path = text; });
}

int run_command(report_arguments given, const std::atomic<bool>&) {
  if (given.stored.empty())
    throw units::unit_error("report: say which results, as --json wrote them");
  if (given.html_path.empty()) throw units::unit_error("report: say --html, and where");
  return write_to(given.html_path, to_page(read_files(given.stored))) ? measured : missed;
}

}  // namespace hinge::bench
