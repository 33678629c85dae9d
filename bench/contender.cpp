#include "contender.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "policy_server.hpp"
#include "served_arguments.hpp"
#include "units.hpp"

namespace hinge::bench {

namespace {

namespace unit = hinge::units;

constexpr std::string_view server_mark = "--as-server";

/// A program of bench/peers, and the Debian package that it is built with.
struct peer {
  std::string_view name;
  std::string_view package;
};
constexpr std::array peers = {
    peer{"libuv", "libuv1-dev"},    peer{"libevent", "libevent-dev"}, peer{"libev", "libev-dev"},
    peer{"libev-one", "libev-dev"}, peer{"asio", "libasio-dev"},
};

std::filesystem::path own_path() { return std::filesystem::read_symlink("/proc/self/exe"); }

/// Where peers are: beside this program as it was built, or where they are installed.
std::filesystem::path peer_path(std::string_view name) {
  if (const char* folder = std::getenv("HINGE_BENCH_PEERS")) {
    return std::filesystem::path(folder) / name;
  }
  const auto built = own_path().parent_path() / "peers" / name;
  std::error_code none;
  return std::filesystem::exists(built, none) ? built
                                              : HINGE_PEERS_FOLDER / std::filesystem::path(name);
}

bool is_there(const std::filesystem::path& program) { return access(program.c_str(), X_OK) == 0; }

bool is_subject(std::string_view name) {
  const auto names = subject_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "7000@4711"
contender running(std::string_view text, std::size_t at) {
  contender who{.name = std::string(text)};
  who.port = unit::parse_within<std::uint16_t>(text.substr(0, at), 1, 65'535);
  who.process = unit::parse_within<pid_t>(text.substr(at + 1), 1, 1U << 22);
  if (kill(who.process, 0) < 0 && errno == ESRCH)
    throw std::runtime_error(fmt::format("{}: there is no process {}", text, who.process));
  return who;
}

}  // namespace

contender find_contender(std::string_view name) {
  const bool in_process = is_subject(name);
  const std::optional<std::string> missing =
      in_process ? missing_here(name).value_or("") : missing_policy(name);
  if (missing && !missing->empty()) throw std::runtime_error(fmt::format("{}: {}", name, *missing));
  if (missing) {
    return {.name = std::string(name),
            .program = {own_path(), std::string(server_mark), std::string(name)},
            .in_process = in_process};
  }
  for (const peer& one : peers) {
    if (one.name != name) continue;
    const auto path = peer_path(name);
    if (is_there(path)) return {.name = std::string(name), .program = {path}};
    throw std::runtime_error(fmt::format("{}: this peer isn't built: there is no {} (Debian: {})",
                                         name, path.string(), one.package));
  }
  if (const std::size_t at = name.find('@'); at != name.npos) return running(name, at);
  throw unit::unit_error(
      fmt::format("'{}': must be one of {}, BACKEND:POLICY, or PORT@PID", name, contenders_here()));
}

std::string contenders_here() {
  std::string all;
  const auto add = [&all](std::string_view name) {
    all += fmt::format("{}{}", all.empty() ? "" : ", ", name);
  };
  for (const std::string_view name : subject_names()) add(name);
  for (const peer& one : peers) {
    if (is_there(peer_path(one.name))) add(one.name);
  }
  return all;
}

bool does(const contender& who, server_work work) {
  if (!who.in_process) return true;
  try {
    make_subject(who.name, work);
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

std::optional<int> serve_as_contender(int argc, char** argv) {
  if (argc < 3 || argv[1] != server_mark) return {};
  try {
    const auto given = read_served_arguments(argc - 2, argv + 2);
    if (!given) return 2;
    if (!is_subject(argv[2])) {
      serve_by_policy(argv[2], *given);
      return 0;
    }
    const auto server = make_subject(argv[2], parse_work(argv[3]));
    if (const std::string about = server->about(); !about.empty()) fmt::print("{}\n", about);
    say_listening(server->port());
    const bool well = server->serve_until_closed(given->connections);
    return well && server->turn_at_once() ? 0 : 1;
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "{}: {}\n", argv[2], wrong.what());
    return 1;
  }
}

}  // namespace hinge::bench
