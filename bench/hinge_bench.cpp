// hinge-bench: loads a server with connections and says what came back. The server is another
// program's, or hinge's own in a thread of this process.
//
// Exit codes: 0 measured; 1 nothing answers or completes, a restart has lost connections or its
// command has failed, or the report could not be written; 2 bad arguments; 3 this machine's limits
// don't permit the load; 130 interrupted, with what there was.
#include <hinge/address.hpp>
#include <hinge/backend.hpp>
#include <hinge/error.hpp>

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "backend_list.hpp"
#include "backend_option.hpp"
#include "command_line.hpp"
#include "load.hpp"
#include "mid_load.hpp"
#include "own_server.hpp"
#include "print_error.hpp"
#include "report.hpp"
#include "units.hpp"

namespace {

namespace unit = hinge::units;
using hinge::bench::arrival_kind;
using hinge::bench::load_options;
using hinge::bench::report;
using hinge::bench::workload;

enum exit_code : int { measured = 0, failed = 1, usage = 2, unfit = 3, interrupted = 130 };

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_interrupt(int) { stop = true; }

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;
constexpr double restart_rate = 1000;  // unless another is asked for
constexpr std::uint64_t most_rate = 10'000'000;

struct arguments {
  load_options load;
  std::optional<std::uint32_t> connections;  // else load.connections is chosen
  bool targeted = false;
  std::optional<hinge::backend_list> served_on;  // a server of its own; else load.target
  std::string command;                           // of the workload restart
  unsigned times = 1;                            // that it is run
  std::string json_path;
  bool lists = false;  // the backends, and no more
};

std::chrono::nanoseconds positive_duration(std::string_view text) {
  const auto span = unit::parse_duration(text);
  if (span.count() > 0) return span;
  throw unit::unit_error(fmt::format("'{}': must be more than 0", text));
}

hinge::address parse_target(std::string_view text) {
  const auto parsed = hinge::address::parse(text);
  if (!parsed) throw unit::unit_error(std::string(parsed.error().argument()));
  if (parsed->is_inet() && parsed->port() == 0) {
    throw unit::unit_error(fmt::format("'{}': nobody listens at port 0", text));
  }
  return *parsed;
}

void add_json(hinge::command line, arguments& into) {
  line.option("--json", "FILE", "also write the result here, as JSON; - is stdout",
              [&](const auto& text) { into.json_path = text; });
}

void add_options(hinge::command line, arguments& into, workload work) {
  load_options& load = into.load;
  line.option("--target", "ADDR",
              "the server: 7000 (loopback), 10.0.0.1:7000, [::1]:7000, unix:/path, unix:@name",
              [&](const auto& text) {
                load.target = parse_target(text);
                into.targeted = true;
              });
  line.option(
      "--backend", "NAMES",
      "in place of a target: a server in this process, on epoll, kqueue, uring, auto, or the first "
      "that can be used of several, as uring,epoll ($HINGE_BACKEND); list shows what can be, and "
      "why; the client itself is always on a readiness backend",
      [&](const auto& text) {
        into.lists = text == "list";
        if (!into.lists) into.served_on = hinge::backends_of(text);
      });
  line.option(
      "--rate", "N",
      "open loop: so many begin each second, whatever became of those before, and latency "
      "counts from the intended start; without it a closed loop measures capacity",
      [&](const auto& text) { load.rate = unit::parse_within<double>(text, 1, most_rate); });
  line.option("--arrivals", "KIND", "of an open loop: constant (the default) or poisson",
              [&](const auto& text) {
                if (text != "constant" && text != "poisson")
                  throw unit::unit_error(fmt::format("'{}': must be constant or poisson", text));
                load.arrivals = text == "poisson" ? arrival_kind::poisson : arrival_kind::constant;
              });
  line.option("--connections", "N", "at once (64; open loop of accept and crr: at most, 1024)",
              [&](const auto& text) {
                into.connections = unit::parse_within<std::uint32_t>(text, 1, 1'000'000);
              });
  if (work != workload::accept) {
    line.option("--bytes", "B", "each way, per operation (64)", [&load](const auto& text) {
      load.bytes = unit::parse_within<std::uint64_t>(text, 1, most_bytes);
    });
  }
  line.option("--duration", "T", "how long to measure (10s)",
              [&](const auto& text) { load.duration = positive_duration(text); });
  line.option("--warmup", "T", "how long to run before that (1s)",
              [&](const auto& text) { load.warmup = unit::parse_duration(text); });
  line.option("--timeout", "T", "an answer that takes longer is an error (5s)",
              [&](const auto& text) { load.timeout = positive_duration(text); });
  line.option("--threads", "N", "of this client (1)", [&](const auto& text) {
    load.threads = unit::parse_within<std::uint32_t>(text, 1, 1024);
  });
  if (work == workload::restart) {
    line.option("--command", "TEXT", "for the shell, run in the middle of the measured time",
                [&](const auto& text) { into.command = text; });
    line.option("--times", "N", "that it is run, evenly spread (1)", [&](const auto& text) {
      into.times = unit::parse_within<unsigned>(text, 1, 10'000);
    });
  }
  add_json(line, into);
}

/// What the others imply. Throws unit_error.
void complete(arguments& given, const hinge::command& command) {
  load_options& load = given.load;
  if (load.work == workload::restart && given.command.empty())
    throw unit::unit_error("--command: say what restarts the server");
  if (load.work == workload::restart && load.rate == 0) load.rate = restart_rate;
  if (command.given("--arrivals") && load.rate == 0)
    throw unit::unit_error("--arrivals: of an open loop: say --rate");
  if (load.work == workload::accept) load.bytes = 0;
  const bool many = load.rate > 0 && load.work != workload::echo;
  load.connections = given.connections.value_or(many ? 1024 : 64);
}

/// Whom to load, when the command line alone doesn't say it. Throws unit_error.
void choose_server(arguments& given) {
  if (given.targeted && given.served_on)
    throw unit::unit_error("--target excludes --backend: a server runs here, or elsewhere");
  if (!given.targeted && !given.served_on) given.served_on = hinge::backends_of_environment();
  if (!given.targeted && !given.served_on)
    throw unit::unit_error("--target or --backend: say whom to load");
}

/// False, and said on stderr, when `path` can't be written. With "-" the text goes to stderr.
bool write_result(const std::string& text, const std::string& json, const std::string& path) {
  fmt::print(path == "-" ? stderr : stdout, "{}", text);
  if (path.empty()) return true;
  errno = 0;
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "we");
  bool written = file != nullptr && std::fputs(json.c_str(), file) >= 0 && std::fflush(file) == 0;
  if (file != nullptr && file != stdout) written = std::fclose(file) == 0 && written;
  if (!written) hinge::print_error("hinge-bench: {}: {}\n", path, hinge::errno_meaning(errno));
  return written;
}

/// The server that `given` asks for, as its target. Another backend than the preferred is told.
void serve_here(arguments& given, std::optional<hinge::bench::own_server>& server) {
  const bool greets = given.load.work == workload::accept;
  server.emplace(*given.served_on, given.load.connections, greets);
  given.load.target = server->where();
  const hinge::backend_choice& choice = server->poller().choice();
  if (choice.fell_back()) hinge::print_error("hinge-bench: {}\n", choice.text());
}

report measure(const arguments& given, std::string_view backend) {
  std::optional<hinge::bench::mid_load_command> command;
  if (!given.command.empty())
    command.emplace(given.command, given.times, given.load.warmup, given.load.duration);
  report shown{given.load, run_load(given.load, stop), std::string(backend), given.command};
  if (command) shown.runs = command->finish(given.load.timeout);
  return shown;
}

int run(arguments given) {
  given.load.threads = std::min(given.load.threads, given.load.connections);
  if (given.served_on) given.load.target = hinge::address::loopback(0);
  if (const auto missing = obstacle(given.load, given.served_on.has_value())) {
    hinge::print_error("hinge-bench: {}\n", *missing);
    return unfit;
  }
  std::optional<hinge::bench::own_server> server;
  if (given.served_on) serve_here(given, server);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);

  const report shown = measure(given, server ? server->poller().name() : std::string_view());
  const bool written =
      write_result(to_table(shown), to_json(shown).dump(2) + "\n", given.json_path);
  if (shown.found.interrupted) return interrupted;
  if (shown.found.nothing_answers) {
    hinge::print_error("hinge-bench: nothing answers at {}\n", given.load.target.text());
    return failed;
  }
  if (shown.found.completed == 0) {
    hinge::print_error("hinge-bench: nothing was completed at {}\n", given.load.target.text());
    return failed;
  }
  const bool lossless = given.command.empty() || (shown.lost() == 0 && shown.all_ran_well());
  return written && lossless ? measured : failed;
}

}  // namespace

int main(int argc, char** argv) {
  hinge::command_line line("hinge-bench",
                           "Loads a server with connections and says what came back.");
  arguments given;
  const std::array<std::pair<workload, hinge::command>, 4> commands = {{
      {workload::accept,
       line.add_command("accept", "connect, wait for the server's first byte or its close")},
      {workload::crr, line.add_command("crr", "connect, send, receive the same, close")},
      {workload::restart, line.add_command("restart",
                                           "crr by an open loop, while a command is run; "
                                           "counts what is lost")},
      {workload::echo, line.add_command("echo", "on kept connections: send, receive the same")},
  }};
  for (const auto& [work, command] : commands) add_options(command, given, work);
  line.version("hinge-bench " HINGE_VERSION);
  line.option("--backend", "list", "in place of a command: which backends can be used, and why",
              [&](const auto& text) {
                given.lists = text == "list";
                if (!given.lists) throw unit::unit_error("only list goes without a command");
              });
  add_json(line, given);
  line.footer(
      "Times: ns, us, ms, s, m, h (500ms). Counts and bytes: k, M, G; KiB, MiB, GiB (10k, 64KiB).");
  try {
    if (const auto ended = line.parse(argc, argv)) return *ended;
    if (given.lists) {
      const hinge::backend_listing listing = hinge::list_backends("hinge-bench");
      return write_result(listing.text, listing.json, given.json_path) ? measured : failed;
    }
    const auto asked = std::find_if(commands.begin(), commands.end(),
                                    [](const auto& one) { return one.second.given(); });
    if (asked == commands.end())
      throw unit::unit_error("say what to do: accept, crr, echo or restart");
    given.load.work = asked->first;
    complete(given, asked->second);
    choose_server(given);
    return run(given);
  } catch (const unit::unit_error& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return usage;
  } catch (const std::exception& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return unfit;
  }
}
