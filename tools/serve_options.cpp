#include "serve_options.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "backend_list.hpp"
#include "backend_option.hpp"
#include "command_line.hpp"
#include "http.hpp"
#include "print_error.hpp"
#include "units.hpp"

namespace hinge::serve {
namespace {

namespace unit = hinge::units;

constexpr std::uint64_t largest_int = std::numeric_limits<int>::max();
constexpr std::uint64_t largest_queue = std::uint64_t{512} * 1024 * 1024;
constexpr std::uint64_t largest_queue_limit = std::uint64_t{1024} * 1024 * 1024;
constexpr std::uint32_t most_accepts = loop_options{}.events_per_turn - 2;
constexpr std::uint64_t largest_total = std::uint64_t{1} << 40;

unit::unit_error refuse(std::string_view text, std::string_view why) {
  return unit::unit_error(fmt::format("'{}': {}", text, why));
}

nanoseconds timeout(std::string_view text) {
  const nanoseconds wait = unit::parse_duration(text);
  if (wait > std::chrono::hours(24 * 365)) throw refuse(text, "must be at most 8760h");
  return wait;
}

int whole_seconds(std::string_view text) {
  return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(timeout(text)).count());
}

unsigned file_mode(std::string_view text) {
  unsigned mode = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (failed != std::errc() || end != text.data() + text.size() || mode > 0777)
    throw refuse(text, "must be an octal number up to 777");
  return mode;
}

address listen_address(const std::string& text) {
  const result<address> parsed = address::parse(text);
  if (!parsed) throw unit::unit_error(std::string(parsed.error().argument()));
  return *parsed;
}

exit_code print_backends(bool as_json) {
  const backend_listing listing = list_backends("hinge-serve");
  const std::string& text = as_json ? listing.json : listing.text;
  errno = 0;
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return served;
  hinge::print_error("hinge-serve: standard output: {}: {}\n", errno_name(errno),
                     errno_meaning(errno));
  return failed;
}

protocol_name protocol_of(std::string_view text) {
  const auto found = std::find(std::begin(protocol_names), std::end(protocol_names), text);
  if (found == std::end(protocol_names))
    throw refuse(text, fmt::format("must be one of {}", fmt::join(protocol_names, ", ")));
  return static_cast<protocol_name>(found - std::begin(protocol_names));
}

accept_policy policy_of(const std::string& text) {
  if (const std::optional<accept_policy> found = policy_named(text)) return *found;
  std::string all;
  for (std::size_t i = 0; i < accept_policies; ++i)
    all.append(i == 0 ? "" : ", ").append(policy_name(static_cast<accept_policy>(i)));
  throw refuse(text, "must be one of " + all);
}

void add_threads(command line, server_options& threads) {
  line.option(
      "--threads", "N",
      "loops in threads of their own, and limits for each; 0: one for each CPU (none)",
      [&](const auto& text) { threads.loops = unit::parse_within<std::uint32_t>(text, 0, 1024); });
  line.option("--policy", "NAME", "how connections are spread over them (automatic)",
              [&](const auto& text) { threads.policy = policy_of(text); });
  line.flag("--pin", threads.pin, "each thread stays on a CPU");
}

void add_limits(command line, loop_options& limits) {
  line.option("--max-connections", "N", "at one time (the descriptor limit less 64)",
              [&](const auto& text) {
                limits.max_connections =
                    unit::parse_within<std::uint32_t>(text, 1, token::max_slots);
              });
  line.option("--accepts-per-turn", "N", "before those who are open have their turn (64)",
              [&](const auto& text) {
                limits.accepts_per_turn = unit::parse_within<std::uint32_t>(text, 1, most_accepts);
              });
  line.option("--first-byte-timeout", "T", "from accept to the first byte (10s); 0 is never",
              [&](const auto& text) { limits.first_byte_timeout = timeout(text); });
  line.option("--idle-timeout", "T", "no byte in either direction (5m); 0 is never",
              [&](const auto& text) { limits.idle_timeout = timeout(text); });
  line.option("--write-stall-timeout", "T",
              "bytes wait and the client takes none (30s); 0 is never",
              [&](const auto& text) { limits.write_stall_timeout = timeout(text); });
  line.option(
      "--half-closed-limit", "T",
      "whose client ended so long ago and still has answers waiting is told of (1m); 0: never",
      [&](const auto& text) { limits.half_closed_limit = timeout(text); });
  line.option("--drain-timeout", "T",
              "for what is open at SIGTERM, and for a close (10s); 0 is never",
              [&](const auto& text) { limits.drain_timeout = timeout(text); });
  line.option("--queue-high", "B", "queued bytes of a connection that pause its reading (256KiB)",
              [&](const auto& text) {
                limits.queue_high_bytes = unit::parse_within<std::uint32_t>(text, 0, largest_queue);
              });
  line.option("--queue-limit", "B", "queued bytes of a connection that are too many (1MiB)",
              [&](const auto& text) {
                limits.queue_limit_bytes =
                    unit::parse_within<std::uint32_t>(text, 1, largest_queue_limit);
              });
  line.option("--max-queued", "B", "queued bytes of all connections together (256MiB)",
              [&](const auto& text) {
                limits.queue_total_bytes = unit::parse_within<std::size_t>(text, 1, largest_total);
              });
  line.option("--queue-low", "B", "queued bytes below which it goes on (64KiB)",
              [&](const auto& text) {
                limits.queue_low_bytes = unit::parse_within<std::uint32_t>(text, 0, largest_queue);
              });
}

void add_listener_options(command line, listener_options& door) {
  line.option(
      "--backlog", "N", "connections that may wait to be accepted (4096)",
      [&](const auto& text) { door.backlog = unit::parse_within<int>(text, 1, largest_int); });
  line.flag("--reuse-port", door.reuse_port, "share the port with others that ask so too");
  line.option("--defer-accept", "T", "TCP: accept when the first bytes are there, or after T",
              [&](const auto& text) { door.defer_accept_s = whole_seconds(text); });
  line.option("--send-buffer", "B", "TCP: fixed size of the kernel's buffer",
              [&](const auto& text) {
                door.send_buffer_bytes = unit::parse_within<int>(text, 1, largest_int);
              });
  line.option("--receive-buffer", "B", "TCP: fixed size of the kernel's buffer",
              [&](const auto& text) {
                door.receive_buffer_bytes = unit::parse_within<int>(text, 1, largest_int);
              });
  line.option("--unix-mode", "MODE", "Unix path: permissions, as 660",
              [&](const auto& text) { door.unix_mode = file_mode(text); });
  line.flag("--remove-stale", door.remove_stale_path,
            "Unix path: remove a socket that nobody listens on");
}

/// "100", or "100/500": so many a second, and a burst of so many.
rate rate_of(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  if (slash == 0 || slash + 1 == text.size()) throw refuse(text, "must be N or N/BURST");
  rate read;
  read.per_second = unit::parse_within<std::uint32_t>(text.substr(0, slash), 1, 1'000'000'000);
  if (slash < text.size())
    read.burst = unit::parse_within<std::uint32_t>(text.substr(slash + 1), 1, 1'000'000'000);
  return read;
}

/// "24", or "24/48": bits of an IPv4 address, and of an IPv6 one.
void read_prefixes(std::string_view text, source_options& into) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  into.ipv4_prefix = unit::parse_within<std::uint32_t>(text.substr(0, slash), 0, 32);
  if (slash < text.size())
    into.ipv6_prefix = unit::parse_within<std::uint32_t>(text.substr(slash + 1), 0, 128);
}

exhaustion exhaustion_of(std::string_view text) {
  if (text == "queue") return exhaustion::queue;
  if (text == "reset") return exhaustion::shed_reset;
  throw refuse(text, "must be queue or reset");
}

void add_admission(command line, door_options& door, loop_options& limits) {
  const auto count = [](const auto& text) {
    return unit::parse_within<std::uint32_t>(text, 1, token::max_slots);
  };
  line.option("--max-per-listener", "N", "connections of a listener at one time",
              [&door, count](const auto& text) { door.max_connections = count(text); });
  line.option("--max-pending", "N", "of these, those that have sent nothing yet",
              [&door, count](const auto& text) { door.max_pending = count(text); });
  line.option("--accept-rate", "N[/BURST]", "new connections of a listener a second",
              [&](const auto& text) { door.new_connections = rate_of(text); });
  line.option("--max-per-source", "N", "connections of a source at one time",
              [&limits, count](const auto& text) { limits.source.max_connections = count(text); });
  line.option("--source-rate", "N[/BURST]", "new connections of a source a second",
              [&](const auto& text) { limits.source.new_connections = rate_of(text); });
  line.option("--source-prefix", "V4[/V6]", "how many bits of an address make a source (32/64)",
              [&](const auto& text) { read_prefixes(text, limits.source); });
  line.option(
      "--max-per-network", "N", "connections of a network, of all its sources, at one time",
      [&limits, count](const auto& text) { limits.source_network.max_connections = count(text); });
  line.option("--network-rate", "N[/BURST]", "new connections of a network a second",
              [&](const auto& text) { limits.source_network.new_connections = rate_of(text); });
  line.option("--network-prefix", "V4[/V6]", "how many bits of an address make a network (24/48)",
              [&](const auto& text) { read_prefixes(text, limits.source_network); });
  line.option("--on-exhaustion", "HOW",
              "without a descriptor for them connections are to queue, or to be reset (queue)",
              [&](const auto& text) { limits.on_exhaustion = exhaustion_of(text); });
  line.flag("--reset-turned-away", limits.reset_turned_away,
            "who is denied or over a limit is reset, and not closed");
}

void add_upgrade(command line, upgrade_options& upgrade, int argc, char** argv) {
  upgrade.arguments.assign(argv, argv + argc);
  upgrade.program = upgrade.arguments.empty() ? "hinge-serve" : upgrade.arguments.front();
  line.option_or_flag("--upgrade", "[PROGRAM]",
                      "SIGUSR2 starts it, with the same arguments, and hands all listeners over; "
                      "without a name the program that this one was started as",
                      [&](const auto& text) {
                        upgrade.wanted = true;
                        if (!text.empty()) upgrade.program = text;
                      });
  line.option("--upgrade-timeout", "T", "how long it may take until it is ready (30s)",
              [&](const auto& text) {
                upgrade.timeout = timeout(text);
                if (upgrade.timeout.count() == 0) throw refuse(text, "must be more than 0");
              });
}

/// The networks of one list option.
void add_networks(command line, const char* name, const char* help, std::vector<network>& into) {
  line.options(name, "NET", help, [&](const auto& text) {
    const result<network> read = network::parse(text);
    if (!read) throw unit::unit_error(std::string(read.error().argument()));
    into.push_back(*read);
  });
}

/// What is wrong with options that are right one by one; empty when nothing is.
std::string contradiction(const serve_options& options, bool timeout_given) {
  const auto none = [&](auto is_meant) {
    return std::none_of(options.listen.begin(), options.listen.end(), is_meant);
  };
  const auto is_path = [](const address& a) { return a.family() == family::unix_path; };
  const auto is_tcp = [](const address& a) { return a.is_inet(); };
  const listener_options& door = options.door;
  if (!options.upgrade.wanted && timeout_given) return "--upgrade-timeout: no --upgrade";
  if (options.threads.pin && !options.by_threads) return "--pin: no --threads and no --policy";
  if (options.limits.queue_low_bytes > options.limits.queue_high_bytes)
    return "--queue-low: must not be above --queue-high";
  const loop_options& limits = options.limits;
  const auto idle = [](const source_options& of, const source_options& standard) {
    return !of.limits() &&
           (of.ipv4_prefix != standard.ipv4_prefix || of.ipv6_prefix != standard.ipv6_prefix);
  };
  if (idle(limits.source, loop_options().source))
    return "--source-prefix: no --max-per-source and no --source-rate";
  if (idle(limits.source_network, loop_options().source_network))
    return "--network-prefix: no --max-per-network and no --network-rate";
  if (limits.reset_turned_away && !limits.source.limits() && !limits.source_network.limits() &&
      !options.admission.limits())
    return "--reset-turned-away: nobody is turned away";
  if (none(is_path) && (door.unix_mode || door.remove_stale_path))
    return "--unix-mode, --remove-stale: no Unix path to listen on";
  if (none(is_tcp) && (door.reuse_port || door.defer_accept_s != 0 || door.send_buffer_bytes != 0 ||
                       door.receive_buffer_bytes != 0))
    return "--reuse-port, --defer-accept, --send-buffer, --receive-buffer: no TCP to listen on";
  return {};
}

/// The queue takes the answers to a whole read on top of its high mark. What was asked for and is
/// less than that is told; what wasn't is raised.
std::string fit_queue(loop_options& limits, bool limit_given, bool total_given) {
  const std::uint64_t read = std::max(limits.receive_buffer_bytes, limits.ring_buffer_bytes);
  const std::uint64_t least =
      limits.queue_high_bytes + http::answer_growth * read + http::longest_answer;
  if (limit_given && limits.queue_limit_bytes < least)
    return fmt::format(
        "--queue-limit: must be at least {}, for the answers to a whole read above "
        "--queue-high",
        least);
  limits.queue_limit_bytes =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(limits.queue_limit_bytes, least));
  if (total_given && limits.queue_total_bytes < limits.queue_limit_bytes)
    return fmt::format("--max-queued: must be at least {}, what a connection may queue",
                       limits.queue_limit_bytes);
  limits.queue_total_bytes =
      std::max<std::size_t>(limits.queue_total_bytes, limits.queue_limit_bytes);
  return {};
}

}  // namespace

listener_options door_for(const address& where, const serve_options& options) {
  listener_options door = options.door;
  if (where.is_inet()) {
    door.no_delay = true;
  } else {
    door.reuse_port = false;
    door.defer_accept_s = 0;
    door.send_buffer_bytes = 0;
    door.receive_buffer_bytes = 0;
  }
  if (where.family() != family::unix_path) {
    door.unix_mode.reset();
    door.remove_stale_path = false;
  }
  return door;
}

std::variant<serve_options, exit_code> read_options(int argc, char** argv) {
  command_line line("hinge-serve",
                    "Serves a small protocol on the hinge library, until SIGTERM or SIGINT.");
  serve_options options;
  options.limits.drain_timeout = std::chrono::seconds(10);  // well before a supervisor kills
  bool lists = false;
  bool as_json = false;
  line.version("hinge-serve " HINGE_VERSION);
  line.options("--listen", "ADDR",
               "where: 7000 (loopback), 10.0.0.1:7000, [::1]:7000, *:7000, unix:/path, unix:@name",
               [&](const auto& text) { options.listen.push_back(listen_address(text)); });
  line.option("--protocol", "NAME", "echo, discard or http (echo)",
              [&](const auto& text) { options.protocol = protocol_of(text); });
  line.option("--backend", "NAMES",
              "epoll, uring, kqueue, auto, or several as uring,epoll: the first that can be used "
              "($HINGE_BACKEND, or auto); list shows what can be, and why",
              [&](const auto& text) {
                lists = text == "list";
                if (!lists) options.backends = backends_of(text);
              });
  add_listener_options(line, options.door);
  std::vector<network> allowed;
  std::vector<network> denied;
  add_networks(line, "--allow", "who may connect, and nobody else: 10.0.0.0/8 ::1", allowed);
  add_networks(line, "--deny", "who may not; the longest prefix decides", denied);
  add_admission(line, options.admission, options.limits);
  add_limits(line, options.limits);
  add_threads(line, options.threads);
  line.option("--metrics", "ADDR", "serve /metrics for Prometheus there, as --listen",
              [&](const auto& text) {
                options.metrics = listen_address(text);
                options.limits.work_clock = now;
              });
  add_upgrade(line, options.upgrade, argc, argv);
  line.flag("--stats-json", options.stats_json, "print all counters at the end, as SIGUSR1 does");
  line.flag("--json", as_json, "with --backend list: print it as JSON");
  try {
    if (const auto ended = line.parse(argc, argv)) return static_cast<exit_code>(*ended);
    if (!line.given("--backend"))
      options.backends = backends_of_environment().value_or(backend_list());
  } catch (const unit::unit_error& wrong) {
    hinge::print_error("hinge-serve: {}\n", wrong.what());
    return usage;
  }
  if (lists) return print_backends(as_json);
  if (as_json) {
    hinge::print_error("hinge-serve: --json: only with --backend list\n");
    return usage;
  }
  if (!allowed.empty() || !denied.empty()) {
    result<address_rules> rules = address_rules::make(allowed, denied);
    if (!rules) {
      hinge::print_error("hinge-serve: --allow, --deny: {}\n", rules.error().argument());
      return usage;
    }
    options.admission.rules = std::make_shared<const address_rules>(std::move(*rules));
  }
  options.by_threads = line.given("--threads") || line.given("--policy");
  std::string wrong = contradiction(options, line.given("--upgrade-timeout"));
  if (wrong.empty())
    wrong = fit_queue(options.limits, line.given("--queue-limit"), line.given("--max-queued"));
  if (!wrong.empty()) {
    hinge::print_error("hinge-serve: {}\n", wrong);
    return usage;
  }
  return options;
}

}  // namespace hinge::serve
