// hinge-ratio: what the project promises of hinge against the floor of each backend, and of a
// backend against another. It compares as hinge-bench compare does, so many rounds of each, and
// holds the ratios against the promises.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "command_line.hpp"
#include "comparison.hpp"
#include "server_process.hpp"
#include "units.hpp"

namespace {

using namespace hinge::bench;

/// Who is compared with whom, and what the project promises of the ratios; 0: nothing.
struct promise {
  const char* candidate;
  const char* reference;
  double most_ac;     // CPU of both ends, the median
  double most_crr;    // the same
  double most_high;   // the upper end of its interval
  bool in_two;        // the way of measuring CPU that is promised: two processes
  double least_echo;  // messages a second, the median
};
constexpr std::array promises = {
    promise{"epoll", "floor-epoll", 1.03, 1.03, 1.05, false, 0.97},
    promise{"uring", "floor-uring", 1.03, 1.03, 1.05, false, 0.97},
    // A ring saves the calls around a sleep: where the server never sleeps it has less to save.
    promise{"uring", "epoll", 1.02, 1.00, 0, true, 1.05},
    promise{"floor-uring", "floor-epoll", 0, 0, 0, false, 0},
};

struct arguments {
  compare_options asked = {.rounds = 60, .uncounted = true};
  unsigned echo_rounds = 30;
  std::string only;
  std::string candidate;
  std::string reference;
  bool check = false;
};

/// Nothing asked for is everything.
bool wanted(const std::string& asked, std::string_view what) {
  return asked.empty() || asked == what;
}

void print_header(const std::string& title, const std::string& reference) {
  fmt::print("{:<40}{:>10}{:>8}{:>17}{:>9}{:>17}{:>18}\n", title, reference, "ratio",
             "95 % interval", "A / A", "95 % interval", "wanted");
}

/// The figure `which` of the candidate, with the reference's own beside it.
void print_row(const std::string& name, const comparison& of, std::size_t which,
               const std::string& wanted, bool reached) {
  const auto range = [](const interval& ratio) {
    return fmt::format("{:.3f} .. {:.3f}", ratio.low, ratio.high);
  };
  const interval& ratio = of.found[1][which].ratio;
  const interval& control = of.found[2][which].ratio;
  fmt::print("  {:<38}{:>10.2f}{:>8.3f}{:>17}{:>9.3f}{:>17}{:>18}{}\n", name,
             of.found[0][which].median, ratio.median, range(ratio), control.median, range(control),
             wanted, reached ? "" : "  missed");
  std::fflush(stdout);
}

comparison compared(compare_options asked, const promise& who, server_work work) {
  asked.names = {who.reference, who.candidate};
  asked.works = {work};
  const std::atomic<bool> stop = false;
  return compare(asked, {find_contender(who.reference), find_contender(who.candidate)}, stop,
                 [](const std::string&) {})
      .front();
}

std::string row_name(const std::string& part, const promise& who) {
  return fmt::format("{}, {} / {}", part, who.candidate, who.reference);
}

/// How many promises were missed.
int show_cpu(const arguments& given, const std::vector<promise>& all, bool in_two) {
  constexpr std::size_t of_both_ends = 1;
  int missed = 0;
  compare_options asked = given.asked;
  asked.apart = in_two;
  print_header(fmt::format("CPU, {}, {} pairs of {}", in_two ? "two processes" : "one thread",
                           asked.rounds, asked.block),
               "ref. us");
  for (const char* part : {"ac", "crr"}) {
    if (!wanted(given.only, part)) continue;
    const server_work work = parse_work(part);
    for (const promise& who : all) {
      const comparison found = compared(asked, who, work);
      const double most = work == server_work::ac ? who.most_ac : who.most_crr;
      const interval& ratio = found.found[1][of_both_ends].ratio;
      const bool promised = most != 0 && in_two == who.in_two;
      const bool reached = !promised || (ratio.median <= most &&
                                         (who.most_high == 0 || ratio.high <= who.most_high));
      const std::string high = who.most_high == 0 ? "" : fmt::format(", to {:.2f}", who.most_high);
      print_row(row_name(part, who), found, of_both_ends,
                promised ? fmt::format("<= {:.2f}{}", most, high) : "", reached);
      missed += reached ? 0 : 1;
    }
  }
  return missed;
}

int show_echo(const arguments& given, const std::vector<promise>& all) {
  constexpr std::size_t cpu = 0;
  constexpr std::size_t throughput = 1;
  int missed = 0;
  compare_options asked = given.asked;
  asked.rounds = given.echo_rounds;
  print_header(fmt::format("echo, 1000 messages/s, {} pairs of {:.1f} s", asked.rounds,
                           std::chrono::duration<double>(asked.run_duration).count()),
               "reference");
  for (const std::uint32_t connections : {64U, 1000U}) {
    asked.connections = connections;
    for (const promise& who : all) {
      const comparison found = compared(asked, who, server_work::echo);
      const bool reached = found.found[1][throughput].ratio.median >= who.least_echo;
      print_row(row_name(std::to_string(connections), who), found, throughput,
                who.least_echo == 0 ? "" : fmt::format(">= {:.2f}", who.least_echo), reached);
      print_row("  server's CPU us per message", found, cpu, "", true);
      missed += reached ? 0 : 1;
    }
  }
  return missed;
}

/// Those that were asked for and can be made here.
std::vector<promise> promises_here(const arguments& given) {
  std::vector<std::string> present;
  for (const std::string_view backend : subject_backends()) {
    if (const auto missing = missing_here(backend)) {
      fmt::print("not measured: {}: {}\n", backend, *missing);
    } else {
      present.emplace_back(backend);
      present.push_back(floor_of(backend));
    }
  }
  std::vector<promise> here;
  for (const promise& who : promises) {
    if (std::find(present.begin(), present.end(), who.candidate) != present.end() &&
        wanted(given.candidate, who.candidate) && wanted(given.reference, who.reference))
      here.push_back(who);
  }
  return here;
}

int run(const arguments& given) {
  const std::vector<promise> all = promises_here(given);
  int missed = 0;
  if (given.only != "echo") {
    for (const bool in_two : {false, true}) missed += show_cpu(given, all, in_two);
  }
  if (!wanted(given.only, "echo")) return missed;
  if (permitted_cpus().size() < 2) {
    fmt::print("echo: not measured: server and load need a CPU each, and there is one\n");
    return missed;
  }
  return missed + show_echo(given, all);
}

}  // namespace

int main(int argc, char** argv) {
  namespace unit = hinge::units;
  hinge::command_line line(
      "hinge-ratio",
      "Compares hinge with floors and backends, interleaved; prints ratios, 95 % intervals.");
  arguments given;
  line.option("--pairs", "N", "of CPU blocks (60)", [&](const auto& text) {
    given.asked.rounds = unit::parse_within<unsigned>(text, 3, 100'000);
  });
  line.option("--block", "N", "connections in a block (200)", [&](const auto& text) {
    given.asked.block = unit::parse_within<unsigned>(text, 1, 1'000'000);
  });
  line.option("--echo-pairs", "N", "of echo runs (30)", [&](const auto& text) {
    given.echo_rounds = unit::parse_within<unsigned>(text, 3, 10'000);
  });
  line.option("--run-duration", "T", "of an echo run (300ms)",
              [&](const auto& text) { given.asked.run_duration = unit::parse_duration(text); });
  line.option("--seed", "N", "of the order and the bootstrap (1)",
              [&](const auto& text) { given.asked.seed = unit::parse_size(text); });
  line.option("--only", "PART", "ac, crr or echo", [&](const auto& text) {
    if (text != "ac" && text != "crr" && text != "echo")
      throw unit::unit_error("'" + text + "': must be ac, crr or echo");
    given.only = text;
  });
  line.option("--of", "NAME", "a backend", [&](const auto& text) { given.candidate = text; });
  line.option("--against", "NAME", "a backend or a floor",
              [&](const auto& text) { given.reference = text; });
  line.flag("--check", given.check, "exit with 1 when a wanted ratio is missed");
  try {
    if (const auto ended = serve_as_contender(argc, argv)) return *ended;
    if (const auto ended = line.parse(argc, argv)) return *ended;
    const int missed = run(given);
    return given.check && missed != 0 ? 1 : 0;
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-ratio: {}\n", wrong.what());
    return 3;
  }
}
