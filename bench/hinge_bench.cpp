// hinge-bench: loads a server with connections and says what came back. The server is another
// program's, or hinge's own in a thread of this process.
//
// Exit codes: 0 measured; 1 nothing answers or completes, or the report could not be written; 2 bad
// arguments; 3 this machine's limits don't permit the load; 130 interrupted, with what there was.
#include <hinge/address.hpp>
#include <hinge/backend.hpp>
#include <hinge/error.hpp>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "backend_list.hpp"
#include "backend_option.hpp"
#include "command_line.hpp"
#include "load.hpp"
#include "own_server.hpp"
#include "print_error.hpp"
#include "report.hpp"
#include "units.hpp"

namespace {

namespace unit = hinge::units;
using hinge::bench::load_options;
using hinge::bench::report;
using hinge::bench::workload;

enum exit_code : int { measured = 0, failed = 1, usage = 2, unfit = 3, interrupted = 130 };

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_interrupt(int) { stop = true; }

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;

struct arguments {
  load_options load;
  bool targeted = false;
  std::optional<hinge::backend_list> served_on;  // a server of its own; else load.target
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
  const bool echo = work == workload::echo;
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
  line.option("--connections", "N", "at once (64)", [&](const auto& text) {
    load.connections = unit::parse_within<std::uint32_t>(text, 1, 1'000'000);
  });
  line.option("--bytes", "B",
              echo ? "each way, per message (64)"
                   : "each way, per connection (64); 0: wait for the server's first byte or its "
                     "close",
              [&load, echo](const auto& text) {
                const std::uint64_t least = echo ? 1 : 0;
                load.bytes = unit::parse_within<std::uint64_t>(text, least, most_bytes);
              });
  line.option("--duration", "T", "how long to measure (10s)",
              [&](const auto& text) { load.duration = positive_duration(text); });
  line.option("--warmup", "T", "how long to run before that (1s)",
              [&](const auto& text) { load.warmup = unit::parse_duration(text); });
  line.option("--timeout", "T", "an answer that takes longer is an error (5s)",
              [&](const auto& text) { load.timeout = positive_duration(text); });
  line.option("--threads", "N", "of this client (1)", [&](const auto& text) {
    load.threads = unit::parse_within<std::uint32_t>(text, 1, 1024);
  });
  add_json(line, into);
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
  const bool greets = given.load.bytes == 0;
  server.emplace(*given.served_on, given.load.connections, greets);
  given.load.target = server->where();
  const hinge::backend_choice& choice = server->poller().choice();
  if (choice.fell_back()) hinge::print_error("hinge-bench: {}\n", choice.text());
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

  const report shown{given.load, run_load(given.load, stop),
                     server ? std::string(server->poller().name()) : std::string()};
  const bool written =
      write_result(to_table(shown), to_json(shown).dump(2) + "\n", given.json_path);
  if (shown.found.interrupted) return interrupted;
  if (shown.found.nothing_answers) {
    hinge::print_error("hinge-bench: nothing answers at {}\n", given.load.target.text());
    return failed;
  }
  if (shown.found.latency.count() == 0) {
    hinge::print_error("hinge-bench: nothing was completed at {}\n", given.load.target.text());
    return failed;
  }
  return written ? measured : failed;
}

}  // namespace

int main(int argc, char** argv) {
  hinge::command_line line("hinge-bench",
                           "Loads a server with connections and says what came back.");
  arguments given;
  const hinge::command accept =
      line.add_command("accept", "connect, send, receive the same, close; again");
  const hinge::command echo =
      line.add_command("echo", "on kept connections: send, receive the same; again");
  add_options(accept, given, workload::accept);
  add_options(echo, given, workload::echo);
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
    if (!accept.given() && !echo.given()) throw unit::unit_error("say what to do: accept or echo");
    given.load.work = echo.given() ? workload::echo : workload::accept;
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
