#include "compare_command.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "baseline.hpp"
#include "comparison_report.hpp"
#include "exit_code.hpp"
#include "load.hpp"
#include "output_file.hpp"
#include "print_error.hpp"
#include "progress.hpp"
#include "stored_files.hpp"
#include "units.hpp"

namespace hinge::bench {

namespace {

namespace unit = hinge::units;

/// "1%", "0.5%"
double parse_percent(const std::string& text) {
  constexpr std::array percent = {unit::unit{"%", 1000}};
  const std::int64_t thousandths = unit::parse_scaled(text, percent, "%");
  if (thousandths <= 0 || thousandths > 50'000)
    throw unit::unit_error("'" + text + "': must be more than 0 and at most 50%");
  return static_cast<double>(thousandths) / 100'000;
}

/// "ac,crr"
std::vector<server_work> parse_works(std::string_view text) {
  std::vector<server_work> all;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    if (name != "ac" && name != "crr" && name != "echo")
      throw unit::unit_error(fmt::format("'{}': must be ac, crr or echo", name));
    all.push_back(parse_work(name));
    begin = end + 1;
  }
  return all;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw unit::unit_error(path + ": can't be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// As the progress of a load: one line that is erased.
void tell(const std::string& what) {
  fmt::print(stderr, "\r{}\x1b[K", what);
  std::fflush(stderr);
}

/// The exit code that the outcome of a baseline asks for.
exit_code held_against(const std::string& path, const std::string& text,
                       const comparison_report& shown) {
  try {
    const std::vector<std::string> worse = regressions(text, shown);
    for (const std::string& one : worse) print_error("hinge-bench: worse than {}: {}\n", path, one);
    return worse.empty() ? measured : missed;
  } catch (const std::runtime_error& wrong) {
    throw unit::unit_error(fmt::format("{}: {}", path, wrong.what()));
  }
}

void complete(compare_arguments& given) {
  compare_options& asked = given.asked;
  if (asked.names.size() < 2)
    throw unit::unit_error("compare: say at least two, of " + contenders_here());
  if (asked.block % asked.waiting != 0)
    throw unit::unit_error("--block must be a multiple of --waiting");
  if (asked.rate > 0 && (asked.gone || asked.waiting != 1))
    throw unit::unit_error("--rate excludes --waiting and --gone: those are of blocks");
  if (asked.gone) asked.works = {server_work::ac};
}

/// What the servers serve by, once each.
void add_servers(environment& into, const compare_options& asked, const comparison& of) {
  for (std::size_t who = 0; who < of.about.size(); ++who) {
    const std::string name = "server " + asked.names[who];
    const bool known =
        std::any_of(into.begin(), into.end(), [&](const auto& one) { return one.first == name; });
    if (!known && !of.about[who].empty()) into.emplace_back(name, of.about[who]);
  }
}

bool write_all(const compare_arguments& given, const comparison_report& shown) {
  const std::array paths = {given.json_path, given.html_path, given.csv_path, given.markdown_path};
  const bool taken = std::find(paths.begin(), paths.end(), "-") != paths.end();
  fmt::print(taken ? stderr : stdout, "{}", to_table(shown));
  bool written = write_result(given.json_path, given.html_path, to_json(shown));
  written = write_to(given.csv_path, to_csv(shown)) && written;
  return write_to(given.markdown_path, to_markdown(shown)) && written;
}

}  // namespace

void add_compare_options(command line, compare_arguments& into) {
  compare_options& asked = into.asked;
  line.options("NAMES", "A B [C ...]",
               "the first is the reference; hinge's backends (epoll, uring), floors (floor-epoll, "
               "floor-drain, ...), peers (libuv, libevent, libev, asio), or PORT@PID",
               [&](const auto& text) { asked.names.push_back(text); });
  line.option("--work", "LIST", "ac (accept, close), crr (and a request), echo (ac,crr)",
              [&](const auto& text) { asked.works = parse_works(text); });
  line.option("--precision", "P", "ends when the 95 % intervals are within this of the ratios (1%)",
              [&](const auto& text) { asked.precision = parse_percent(text); });
  line.option("--longest", "T", "of each work, and then it says that it didn't get there (20s)",
              [&](const auto& text) { asked.longest = unit::parse_duration(text); });
  line.option("--rounds", "N", "in place of both: so many", [&](const auto& text) {
    asked.rounds = unit::parse_within<unsigned>(text, 1, 100'000);
  });
  line.option("--block", "N", "connections of each in a round (200)", [&](const auto& text) {
    asked.block = unit::parse_within<unsigned>(text, 1, 1'000'000);
  });
  line.option(
      "--waiting", "N", "connections that wait before the server looks (1)",
      [&](const auto& text) { asked.waiting = unit::parse_within<unsigned>(text, 1, 4096); });
  line.flag("--gone", asked.gone,
            "ac, and clients have gone before the server looks: accepting alone is compared");
  line.flag("--apart", asked.apart, "servers are processes, even where one could have all");
  line.option(
      "--rate", "N",
      "an open loop of so many a second in place of blocks: what clients see is compared",
      [&](const auto& text) { asked.rate = unit::parse_within<double>(text, 1, most_rate); });
  line.option("--connections", "N", "of echo (64)", [&](const auto& text) {
    asked.connections = unit::parse_within<unsigned>(text, 1, 10'000);
  });
  line.option("--run-duration", "T", "of one run of echo, or of an open loop (300ms)",
              [&](const auto& text) { asked.run_duration = unit::parse_duration(text); });
  line.option("--seed", "N", "of the order and the bootstrap (1)",
              [&](const auto& text) { asked.seed = unit::parse_size(text); });
  line.flag("--uncounted", asked.uncounted,
            "without system calls, user instructions, packets and bytes");
  line.option("--baseline", "FILE", "of an earlier --json: exit status 1 when it is worse now",
              [&](const auto& text) { into.baseline_path = text; });
  line.option("--json", "FILE", "also write the result here, as JSON; - is stdout",
              [&](const auto& text) { into.json_path = text; });
  line.option("--html", "FILE", "write a page for a browser here, with plots; - is stdout",
              [&](const auto& text) { into.html_path = text; });
  line.option("--csv", "FILE", "also write a line for each figure here",
              [&](const auto& text) { into.csv_path = text; });
  line.option("--markdown", "FILE", "also write tables here",
              [&](const auto& text) { into.markdown_path = text; });
  line.flag("--quiet", into.quiet, "no line of progress on the terminal");
}

int run_command(compare_arguments given, const std::atomic<bool>& stop) {
  complete(given);
  std::vector<contender> contenders;
  for (const std::string& name : given.asked.names) contenders.push_back(find_contender(name));
  const std::string baseline = given.baseline_path.empty() ? "" : text_of(given.baseline_path);
  const bool tells = !given.quiet && shows_progress();
  comparison_report shown{given.asked, {}, read_environment()};
  shown.found = compare(given.asked, contenders, stop, [tells](const std::string& what) {
    if (tells) tell(what);
  });
  if (tells) tell("");
  for (const comparison& one : shown.found) add_servers(shown.here, given.asked, one);
  shown.interrupted = stop;
  if (shown.found.empty() && !stop)
    throw unit::unit_error("--work: there is none that all of them do");
  const bool written = write_all(given, shown);
  if (stop) return interrupted;
  if (!given.baseline_path.empty()) {
    const exit_code outcome = held_against(given.baseline_path, baseline, shown);
    if (outcome != measured) return outcome;
  }
  if (!shown.valid()) return invalid;
  return written ? measured : missed;
}

}  // namespace hinge::bench
