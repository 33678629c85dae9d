// hinge-ratio: hinge against the floor of each backend, and a backend against another, interleaved,
// as ratios with their intervals.
//
// CPU per connection, in blocks of connections. A pair is a block on the reference, one on the
// candidate and one on a second reference, in random order; its ratios are candidate / reference
// and, as the control that must contain 1, reference / reference. Whatever disturbs the machine for
// longer than a block disturbs all of a pair. Measured in two ways:
//   one thread     both ends in one process: the sharpest, but the server never sleeps
//   two processes  on one CPU; the server sleeps until there is a connection, as servers do
//
// Echo: a server process on one core, the load generator on another, in turns; the ratios are those
// of messages a second, and of the server's CPU time per message.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "command_line.hpp"
#include "descriptors.hpp"
#include "interval.hpp"
#include "load.hpp"
#include "plain_client.hpp"
#include "server_process.hpp"
#include "subject.hpp"
#include "units.hpp"

namespace {

using namespace hinge::bench;

/// What is measured in a pair: the second reference is the control.
enum role : std::size_t { reference_a, candidate, reference_b, roles };
using figures = std::array<double, roles>;

/// Who is compared with whom, and what the project promises of the ratios; 0: nothing.
struct comparison {
  const char* candidate;
  const char* reference;
  double most_ac;     // CPU, the median
  double most_crr;    // CPU, the median
  double most_high;   // CPU, the upper end of the interval
  bool in_two;        // the way of measuring CPU that is promised: two processes
  double least_echo;  // messages a second, the median
};
constexpr std::array comparisons = {
    comparison{"epoll", "floor-epoll", 1.03, 1.03, 1.05, false, 0.97},
    comparison{"uring", "floor-uring", 1.03, 1.03, 1.05, false, 0.97},
    // A ring saves the calls around a sleep: where the server never sleeps it has less to save.
    comparison{"uring", "epoll", 1.02, 1.00, 0, true, 1.05},
    comparison{"floor-uring", "floor-epoll", 0, 0, 0, false, 0},
};

struct arguments {
  unsigned pairs = 60;
  unsigned block = 200;
  unsigned echo_pairs = 30;
  std::chrono::nanoseconds echo_duration = std::chrono::milliseconds(300);
  std::uint64_t seed = 1;
  std::string only;
  std::string candidate;
  std::string reference;
  bool check = false;
};

/// One figure of all pairs.
struct series {
  std::vector<double> reference;  // reference_a's
  std::vector<double> ratio;
  std::vector<double> control;

  void add(const figures& pair) {
    reference.push_back(pair[reference_a]);
    ratio.push_back(pair[candidate] / pair[reference_a]);
    control.push_back(pair[reference_b] / pair[reference_a]);
  }
};

/// Nothing asked for is everything.
bool wanted(const std::string& asked, std::string_view what) {
  return asked.empty() || asked == what;
}

std::array<std::size_t, roles> random_order(std::mt19937_64& random) {
  std::array<std::size_t, roles> order = {reference_a, candidate, reference_b};
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

void print_header(const std::string& title, const char* reference) {
  fmt::print("{:<40}{:>10}{:>8}{:>17}{:>9}{:>17}{:>18}\n", title, reference, "ratio",
             "95 % interval", "A / A", "95 % interval", "wanted");
}

void print_row(const std::string& name, const series& found, std::uint64_t seed,
               const std::string& wanted, bool reached) {
  const interval ratio = bootstrap_median(found.ratio, seed);
  const interval control = bootstrap_median(found.control, seed);
  fmt::print("  {:<38}{:>10.2f}{:>8.3f}{:>17}{:>9.3f}{:>17}{:>18}{}\n", name,
             median_of(found.reference), ratio.median,
             fmt::format("{:.3f} .. {:.3f}", ratio.low, ratio.high), control.median,
             fmt::format("{:.3f} .. {:.3f}", control.low, control.high), wanted,
             reached ? "" : "  missed");
  std::fflush(stdout);
}

// CPU per connection.

double microseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

/// Microseconds of CPU per connection, both ends together.
double run_block(subject& server, server_work work, unsigned connections) {
  const bool request = work == server_work::crr;
  const auto begin = cpu_used(getpid());
  for (unsigned i = 0; i < connections; ++i) {
    const int fd = connect_to(server.port());
    if (request) send_request(fd);
    bool well = server.serve_until_closed(server.closed() + 1);
    while (well && !anything_received(fd)) well = server.turn_at_once();
    if (!well) throw std::runtime_error("a server broke");
    receive_reply(fd, request ? request_bytes : 0, true);
    end_connection(fd, true);
  }
  return microseconds(cpu_used(getpid()) - begin) / connections;
}

double run_block(const server_process& server, server_work work, unsigned connections) {
  const bool request = work == server_work::crr;
  const auto begin = cpu_used(getpid()) + server.cpu_used();
  for (unsigned i = 0; i < connections; ++i) {
    const int fd = connect_to(server.port());
    if (request) send_request(fd);
    receive_reply(fd, request ? request_bytes : 0, true);
    end_connection(fd, true);
  }
  return microseconds(cpu_used(getpid()) + server.cpu_used() - begin) / connections;
}

template <class Make>
series compare_cpu(const arguments& given, const comparison& who, server_work work, Make make) {
  constexpr unsigned warm_up_blocks = 5;
  const std::array servers = {make(who.reference), make(who.candidate), make(who.reference)};
  std::mt19937_64 random(given.seed);
  series found;
  for (unsigned pair = 0; pair < warm_up_blocks + given.pairs; ++pair) {
    figures cost;
    for (const std::size_t i : random_order(random)) {
      cost[i] = run_block(*servers[i], work, given.block);
    }
    if (pair >= warm_up_blocks) found.add(cost);
  }
  return found;
}

// Echo on kept connections.

struct echo_figures {
  double messages_per_second = 0;
  double server_us_per_message = 0;
};

echo_figures run_echo(const char* name, std::uint32_t connections, const arguments& given,
                      unsigned cpu) {
  const server_process server(name, server_work::echo, cpu);
  load_options options;
  options.work = workload::echo;
  options.target = hinge::address::loopback(server.port());
  options.connections = connections;
  options.warmup = std::chrono::nanoseconds(0);
  options.duration = given.echo_duration;
  const std::atomic<bool> stop = false;
  const load_result found = run_load(options, stop);
  if (total(found.errors) + total(found.errors_before) != 0) {
    throw std::runtime_error(fmt::format("errors on {} connections to {}", connections, name));
  }
  const auto completed = static_cast<double>(found.completed);
  return {completed / std::chrono::duration<double>(found.elapsed).count(),
          microseconds(server.cpu_used()) / completed};
}

struct echo_series {
  series throughput;
  series cost;
};

echo_series compare_echo(const arguments& given, const comparison& who, std::uint32_t connections,
                         unsigned cpu) {
  const std::array names = {who.reference, who.candidate, who.reference};
  std::mt19937_64 random(given.seed);
  echo_series found;
  for (unsigned pair = 0; pair < given.echo_pairs; ++pair) {
    figures throughput;
    figures cost;
    for (const std::size_t i : random_order(random)) {
      const echo_figures run = run_echo(names[i], connections, given, cpu);
      throughput[i] = run.messages_per_second / 1000;
      cost[i] = run.server_us_per_message;
    }
    found.throughput.add(throughput);
    found.cost.add(cost);
  }
  return found;
}

// The whole.

std::string row_name(const std::string& part, const comparison& who) {
  return fmt::format("{}, {} / {}", part, who.candidate, who.reference);
}

/// How many promises were missed.
int show_cpu(const arguments& given, const std::vector<comparison>& all, bool in_two,
             unsigned cpu) {
  int missed = 0;
  print_header(fmt::format("CPU, {}, {} pairs of {}", in_two ? "two processes" : "one thread",
                           given.pairs, given.block),
               "ref. us");
  for (const char* part : {"ac", "crr"}) {
    if (!wanted(given.only, part)) continue;
    const server_work work = parse_work(part);
    for (const comparison& who : all) {
      const auto in_thread = [&](const char* name) { return make_subject(name, work); };
      const auto in_process = [&](const char* name) {
        return std::make_unique<server_process>(name, work, cpu);
      };
      const series found = in_two ? compare_cpu(given, who, work, in_process)
                                  : compare_cpu(given, who, work, in_thread);
      const double most = work == server_work::ac ? who.most_ac : who.most_crr;
      const interval ratio = bootstrap_median(found.ratio, given.seed);
      const bool promised = most != 0 && in_two == who.in_two;
      const bool reached = !promised || (ratio.median <= most &&
                                         (who.most_high == 0 || ratio.high <= who.most_high));
      const std::string high = who.most_high == 0 ? "" : fmt::format(", to {:.2f}", who.most_high);
      print_row(row_name(part, who), found, given.seed,
                promised ? fmt::format("<= {:.2f}{}", most, high) : "", reached);
      missed += reached ? 0 : 1;
    }
  }
  return missed;
}

int show_echo(const arguments& given, const std::vector<comparison>& all, unsigned cpu) {
  int missed = 0;
  print_header(fmt::format("echo, 1000 messages/s, {} pairs of {:.1f} s", given.echo_pairs,
                           std::chrono::duration<double>(given.echo_duration).count()),
               "reference");
  for (const std::uint32_t connections : {64U, 1000U}) {
    if (const auto shortage = descriptor_shortage(connections + 100)) {
      throw std::runtime_error(*shortage);
    }
    for (const comparison& who : all) {
      const echo_series found = compare_echo(given, who, connections, cpu);
      const bool reached = median_of(found.throughput.ratio) >= who.least_echo;
      print_row(row_name(std::to_string(connections), who), found.throughput, given.seed,
                who.least_echo == 0 ? "" : fmt::format(">= {:.2f}", who.least_echo), reached);
      print_row("  server's CPU us per message", found.cost, given.seed, "", true);
      missed += reached ? 0 : 1;
    }
  }
  return missed;
}

/// Those that were asked for and can be made here.
std::vector<comparison> comparisons_here(const arguments& given) {
  std::vector<std::string> present;
  for (const std::string_view backend : subject_backends()) {
    if (const auto missing = missing_here(backend)) {
      fmt::print("not measured: {}: {}\n", backend, *missing);
    } else {
      present.emplace_back(backend);
      present.push_back(floor_of(backend));
    }
  }
  std::vector<comparison> here;
  for (const comparison& who : comparisons) {
    if (std::find(present.begin(), present.end(), who.candidate) != present.end() &&
        wanted(given.candidate, who.candidate) && wanted(given.reference, who.reference))
      here.push_back(who);
  }
  return here;
}

int run(const arguments& given) {
  const std::vector<comparison> all = comparisons_here(given);
  const std::vector<unsigned> cpus = permitted_cpus();
  int missed = 0;
  stand_on(cpus.front());
  if (given.only != "echo") {
    for (const bool in_two : {false, true}) missed += show_cpu(given, all, in_two, cpus.front());
  }
  if (!wanted(given.only, "echo")) return missed;
  if (cpus.size() < 2) {
    fmt::print("echo: not measured: server and load need a CPU each, and there is one\n");
    return missed;
  }
  stand_on(cpus[1]);
  return missed + show_echo(given, all, cpus.front());
}

}  // namespace

int main(int argc, char** argv) {
  namespace unit = hinge::units;
  hinge::command_line line(
      "hinge-ratio",
      "Compares hinge with floors and backends, interleaved; prints ratios, 95 % intervals.");
  arguments given;
  line.option("--pairs", "N", "of CPU blocks (60)", [&](const auto& text) {
    given.pairs = unit::parse_within<unsigned>(text, 3, 100'000);
  });
  line.option("--block", "N", "connections in a block (200)", [&](const auto& text) {
    given.block = unit::parse_within<unsigned>(text, 1, 1'000'000);
  });
  line.option("--echo-pairs", "N", "of echo runs (30)", [&](const auto& text) {
    given.echo_pairs = unit::parse_within<unsigned>(text, 3, 10'000);
  });
  line.option("--echo-duration", "T", "of an echo run (300ms)",
              [&](const auto& text) { given.echo_duration = unit::parse_duration(text); });
  line.option("--seed", "N", "of the order and the bootstrap (1)",
              [&](const auto& text) { given.seed = unit::parse_size(text); });
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
    if (const auto ended = line.parse(argc, argv)) return *ended;
    const int missed = run(given);
    return given.check && missed != 0 ? 1 : 0;
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-ratio: {}\n", wrong.what());
    return 3;
  }
}
