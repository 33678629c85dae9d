// The command line of a load.
#include <hinge/address.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "backend_option.hpp"
#include "load_command.hpp"
#include "units.hpp"
#include "workload_options.hpp"

namespace hinge::bench {

namespace {

namespace unit = hinge::units;

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;

std::chrono::nanoseconds positive_duration(std::string_view text) {
  const auto span = unit::parse_duration(text);
  if (span.count() > 0) return span;
  throw unit::unit_error(fmt::format("'{}': must be more than 0", text));
}

address parse_target(std::string_view text) {
  const auto parsed = address::parse(text);
  if (!parsed) throw unit::unit_error(std::string(parsed.error().argument()));
  if (parsed->is_inet() && parsed->port() == 0) {
    throw unit::unit_error(fmt::format("'{}': nobody listens at port 0", text));
  }
  return *parsed;
}

void add_outputs(command line, load_arguments& into) {
  line.option("--hdr", "FILE",
              "also write the percentiles here, as HdrHistogram's plotters read them",
              [&](const auto& text) { into.hdr_path = text; });
  line.option("--csv", "FILE", "also write a line of names and one of values here",
              [&](const auto& text) { into.csv_path = text; });
  line.option("--markdown", "FILE", "also write a table here",
              [&](const auto& text) { into.markdown_path = text; });
  line.option("--html", "FILE", "write a page for a browser here, with plots; - is stdout",
              [&](const auto& text) { into.html_path = text; });
  line.flag("--quiet", into.quiet, "no line of progress on the terminal");
  line.option("--json", "FILE", "also write the result here, as JSON; - is stdout",
              [&](const auto& text) { into.json_path = text; });
}

void add_serving(command line, load_arguments& into) {
  for (const char* name : {"--serve", "--peer"}) {
    line.option(name, "NAME",
                "in place of a target: a server in a process of its own, one of those that compare "
                "knows",
                [&](const auto& text) { into.served_by = text; });
  }
}

/// Whom to load, when the command line alone doesn't say it. Throws unit_error.
void choose_server(load_arguments& given) {
  const bool started = !given.served_by.empty();
  if (given.targeted + given.served_on.has_value() + started > 1)
    throw unit::unit_error(
        "--target, --backend, --serve, --peer: a server runs here, or elsewhere");
  if (!given.targeted && !started && !given.served_on) given.served_on = backends_of_environment();
  if (!given.targeted && !started && !given.served_on)
    throw unit::unit_error("--target, --backend, --serve or --peer: say whom to load");
}

}  // namespace

void add_load_options(command line, load_arguments& into, workload work) {
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
        if (!into.lists) into.served_on = backends_of(text);
      });
  add_serving(line, into);
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
  line.option(
      "--server-pid", "PID", "of the target: whose CPU time is told, too",
      [&](const auto& text) { into.server_process = unit::parse_within<int>(text, 1, 1U << 22); });
  line.option("--max-p99", "T",
              "exit status 1 when the 99th percentile is above (open loop: latency)",
              [&](const auto& text) { into.wanted.most_p99 = positive_duration(text); });
  line.option("--min-rate", "N", "exit status 1 when fewer a second are completed",
              [&](const auto& text) {
                into.wanted.least_rate = unit::parse_within<double>(text, 1, most_rate);
              });
  if (work == workload::restart) {
    line.option("--command", "TEXT", "for the shell, run in the middle of the measured time",
                [&](const auto& text) { into.command = text; });
    line.option("--times", "N", "that it is run, evenly spread (1)", [&](const auto& text) {
      into.times = unit::parse_within<unsigned>(text, 1, 10'000);
    });
  }
  add_workload_options(line, into, work);
  add_outputs(line, into);
}

void complete_load(load_arguments& given, workload work, const command& line) {
  load_options& load = given.load;
  load.work = work;
  if (load.work == workload::restart && given.command.empty())
    throw unit::unit_error("--command: say what restarts the server");
  complete_workload(given, line);
  if (line.given("--arrivals") && load.rate == 0)
    throw unit::unit_error("--arrivals: of an open loop: say --rate");
  if (load.work == workload::accept) load.bytes = 0;
  choose_server(given);
}

}  // namespace hinge::bench
