// hinge-ratio: hinge against the floor, interleaved, as a ratio with its interval.
//
// CPU per connection: both ends in one process and thread, in blocks of connections. A pair is a
// block on the floor, one on hinge and one on a second floor, in random order; its ratios are
// hinge / floor and, as the control that must contain 1, floor / floor. Whatever disturbs the
// machine for longer than a block disturbs all of a pair.
//
// Echo: a server process on one core, the load generator on another, floor and hinge in turns; the
// ratios are those of messages a second, and of the server's CPU time per message.
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "descriptors.hpp"
#include "interval.hpp"
#include "load.hpp"
#include "plain_client.hpp"
#include "subject.hpp"
#include "units.hpp"

namespace {

using namespace hinge::bench;

/// What is compared with what: the second floor is the control.
enum role : std::size_t { floor_a, candidate, floor_b, roles };
constexpr std::array<const char*, roles> subject_names = {"floor", "hinge", "floor"};
using figures = std::array<double, roles>;

struct arguments {
  unsigned pairs = 60;
  unsigned block = 200;
  unsigned echo_pairs = 7;
  std::chrono::nanoseconds echo_duration = std::chrono::seconds(1);
  std::uint64_t seed = 1;
  std::string only;
  bool check = false;
};

/// One figure of all pairs.
struct series {
  std::vector<double> reference;  // floor_a's
  std::vector<double> ratio;
  std::vector<double> control;

  void add(const figures& pair) {
    reference.push_back(pair[floor_a]);
    ratio.push_back(pair[candidate] / pair[floor_a]);
    control.push_back(pair[floor_b] / pair[floor_a]);
  }
};

std::array<std::size_t, roles> random_order(std::mt19937_64& random) {
  std::array<std::size_t, roles> order = {floor_a, candidate, floor_b};
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

void print_header(const std::string& title, const char* reference) {
  fmt::print("{:<34}{:>10}{:>8}{:>17}{:>9}{:>17}{:>16}\n", title, reference, "ratio",
             "95 % interval", "A / A", "95 % interval", "wanted");
}

void print_row(const char* name, const series& found, std::uint64_t seed, const std::string& wanted,
               bool reached) {
  const interval ratio = bootstrap_median(found.ratio, seed);
  const interval control = bootstrap_median(found.control, seed);
  fmt::print("  {:<32}{:>10.2f}{:>8.3f}{:>17}{:>9.3f}{:>17}{:>16}{}\n", name,
             median_of(found.reference), ratio.median,
             fmt::format("{:.3f} .. {:.3f}", ratio.low, ratio.high), control.median,
             fmt::format("{:.3f} .. {:.3f}", control.low, control.high), wanted,
             reached ? "" : "  missed");
  std::fflush(stdout);
}

// CPU per connection.

std::chrono::nanoseconds process_cpu() {
  timespec used;
  checked(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), "clock_gettime");
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

/// Microseconds of CPU per connection, both ends together.
double run_block(subject& server, server_work work, unsigned connections) {
  const bool request = work == server_work::crr;
  const auto begin = process_cpu();
  for (unsigned i = 0; i < connections; ++i) {
    const int fd = connect_to(server.port());
    if (request) send_request(fd);
    if (!server.serve_until_closed(server.closed() + 1)) throw std::runtime_error("a server broke");
    receive_reply(fd, request ? request_bytes : 0, true);
    end_connection(fd, true);
  }
  const std::chrono::duration<double, std::micro> used = process_cpu() - begin;
  return used.count() / connections;
}

series compare_cpu(const arguments& given, server_work work) {
  constexpr unsigned warm_up_blocks = 5;
  std::array<std::unique_ptr<subject>, roles> servers;
  for (std::size_t i = 0; i < roles; ++i) servers[i] = make_subject(subject_names[i], work);
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

std::vector<unsigned> permitted_cpus() {
  cpu_set_t permitted;
  checked(sched_getaffinity(0, sizeof permitted, &permitted), "sched_getaffinity");
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &permitted)) cpus.push_back(cpu);
  }
  return cpus;
}

void stand_on(unsigned cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  checked(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

[[noreturn]] void serve_echo(const char* name, std::uint32_t connections, unsigned cpu, int tell) {
  try {
    stand_on(cpu);
    const auto server = make_subject(name, server_work::echo);
    const std::uint16_t port = server->port();
    checked(write(tell, &port, sizeof port), "write");
    server->serve_until_closed(connections);
    _exit(0);
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-ratio: {}\n", wrong.what());
    _exit(1);
  }
}

/// A process that serves, for as long as this lives.
class echo_process {
public:
  echo_process(const char* name, std::uint32_t connections, unsigned cpu) {
    int tell[2];
    checked(pipe(tell), "pipe");
    child_ = checked(fork(), "fork");
    if (child_ == 0) serve_echo(name, connections, cpu, tell[1]);
    close(tell[1]);
    const bool told = read(tell[0], &port_, sizeof port_) == sizeof port_;
    close(tell[0]);
    if (!told) {
      end();
      throw std::runtime_error("the echo server did not start");
    }
  }
  echo_process(const echo_process&) = delete;
  echo_process& operator=(const echo_process&) = delete;
  ~echo_process() { end(); }

  std::uint16_t port() const noexcept { return port_; }

  /// Ends it; its CPU time in microseconds.
  double end() noexcept {
    if (child_ < 0) return 0;
    rusage used{};
    kill(child_, SIGKILL);
    wait4(child_, nullptr, 0, &used);
    child_ = -1;
    return 1e6 * static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  }

private:
  pid_t child_ = -1;
  std::uint16_t port_ = 0;
};

echo_figures run_echo(const char* name, std::uint32_t connections, const arguments& given,
                      const std::vector<unsigned>& cpus) {
  echo_process server(name, connections, cpus[0]);
  load_options options;
  options.work = workload::echo;
  options.target = hinge::address::loopback(server.port());
  options.connections = connections;
  options.warmup = std::chrono::nanoseconds(0);
  options.duration = given.echo_duration;
  const std::atomic<bool> stop = false;
  const load_result found = run_load(options, stop);
  const double used = server.end();
  if (total(found.errors) + total(found.errors_before) != 0) {
    throw std::runtime_error(fmt::format("errors on {} connections to {}", connections, name));
  }
  const auto completed = static_cast<double>(found.completed);
  return {completed / std::chrono::duration<double>(found.elapsed).count(), used / completed};
}

struct echo_series {
  series throughput;
  series cost;
};

echo_series compare_echo(const arguments& given, std::uint32_t connections,
                         const std::vector<unsigned>& cpus) {
  std::mt19937_64 random(given.seed);
  echo_series found;
  stand_on(cpus[1]);
  for (unsigned pair = 0; pair < given.echo_pairs; ++pair) {
    figures throughput;
    figures cost;
    for (const std::size_t i : random_order(random)) {
      const echo_figures run = run_echo(subject_names[i], connections, given, cpus);
      throughput[i] = run.messages_per_second / 1000;
      cost[i] = run.server_us_per_message;
    }
    found.throughput.add(throughput);
    found.cost.add(cost);
  }
  return found;
}

// What the project promises.
constexpr double most_cpu_median = 1.03;
constexpr double most_cpu_high = 1.05;
constexpr double least_throughput = 0.97;

bool wanted(const arguments& given, const std::string& part) {
  return given.only.empty() || given.only == part;
}

/// How many promises were missed.
int run(const arguments& given) {
  int missed = 0;
  const std::vector<unsigned> cpus = permitted_cpus();
  if (wanted(given, "ac") || wanted(given, "crr")) {
    stand_on(cpus[0]);
    print_header(fmt::format("CPU, {} pairs of {}", given.pairs, given.block), "floor us");
  }
  for (const char* part : {"ac", "crr"}) {
    if (!wanted(given, part)) continue;
    const series found = compare_cpu(given, parse_work(part));
    const interval ratio = bootstrap_median(found.ratio, given.seed);
    const bool reached = ratio.median <= most_cpu_median && ratio.high <= most_cpu_high;
    print_row(part, found, given.seed,
              fmt::format("{:.2f}, to {:.2f}", most_cpu_median, most_cpu_high), reached);
    missed += reached ? 0 : 1;
  }
  if (!wanted(given, "echo")) return missed;
  if (cpus.size() < 2) {
    fmt::print("echo: not measured: server and load need a CPU each, and there is one\n");
    return missed;
  }
  print_header(fmt::format("echo, {} pairs of {:.1f} s", given.echo_pairs,
                           std::chrono::duration<double>(given.echo_duration).count()),
               "floor");
  for (const std::uint32_t connections : {64U, 1000U}) {
    if (const auto shortage = descriptor_shortage(connections + 100)) {
      throw std::runtime_error(*shortage);
    }
    const echo_series found = compare_echo(given, connections, cpus);
    const bool reached = median_of(found.throughput.ratio) >= least_throughput;
    print_row(fmt::format("{} connections, 1000 messages/s", connections).c_str(), found.throughput,
              given.seed, fmt::format("{:.2f}", least_throughput), reached);
    print_row("  server's CPU us per message", found.cost, given.seed, "", true);
    missed += reached ? 0 : 1;
  }
  return missed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Compares hinge with the floor, interleaved; prints ratios and their 95 % intervals.",
      "hinge-ratio");
  arguments given;
  app.add_option("--pairs", given.pairs, "of CPU blocks (60)")->check(CLI::Range(3, 100'000));
  app.add_option("--block", given.block, "connections in a block (200)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--echo-pairs", given.echo_pairs, "of echo runs (7)")
      ->check(CLI::Range(3, 10'000));
  app.add_option_function<std::string>(
         "--echo-duration",
         [&given](const std::string& text) {
           given.echo_duration = hinge::units::parse_duration(text);
         },
         "of an echo run (1s)")
      ->type_name("T");
  app.add_option("--seed", given.seed, "of the order and the bootstrap (1)");
  app.add_option("--only", given.only, "a part")->check(CLI::IsMember({"ac", "crr", "echo"}));
  app.add_flag("--check", given.check, "exit with 1 when a wanted ratio is missed");
  try {
    app.parse(argc, argv);
    const int missed = run(given);
    return given.check && missed != 0 ? 1 : 0;
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) return app.exit(wrong);
    fmt::print(stderr, "hinge-ratio: {}\n", wrong.what());
    return 2;
  } catch (const hinge::units::unit_error& wrong) {
    fmt::print(stderr, "hinge-ratio: --echo-duration: {}\n", wrong.what());
    return 2;
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-ratio: {}\n", wrong.what());
    return 3;
  }
}
