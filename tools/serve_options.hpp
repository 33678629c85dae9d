// The command line of hinge-serve.
#pragma once

#include <hinge/address.hpp>
#include <hinge/any_poller.hpp>
#include <hinge/door.hpp>
#include <hinge/listener.hpp>
#include <hinge/loop_options.hpp>
#include <hinge/server_options.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hinge::serve {

/// 0: served until a signal; 1: it can't be served; 2: bad arguments.
enum exit_code : int { served = 0, failed = 1, usage = 2 };

enum class protocol_name : std::uint8_t { echo, discard, http };
inline constexpr std::string_view protocol_names[] = {"echo", "discard", "http"};

/// --upgrade: whom to start on SIGUSR2.
struct upgrade_options {
  bool wanted = false;
  std::string program;                 ///< looked for as a shell does; this one's own name
  std::vector<std::string> arguments;  ///< this one's own, with its name
  nanoseconds timeout = std::chrono::seconds(30);  ///< from its start until it is ready
};

struct serve_options {
  std::vector<address> listen;
  protocol_name protocol = protocol_name::echo;
  backend_list backends;
  /// How each address is listened on; what is for TCP or for Unix paths alone is taken out for the
  /// others by door_for().
  listener_options door;
  door_options admission;  ///< whom each listener lets in
  loop_options limits;
  bool by_threads = false;  ///< --threads or --policy: a server, as `threads` says
  server_options threads;
  std::optional<address> metrics;  ///< where /metrics is served, beside
  upgrade_options upgrade;
  bool stats_json = false;
};

/// `options.door` as far as it is meant for that kind of address.
listener_options door_for(const address& where, const serve_options& options);

/// The options, or the exit code when all has been said: the help, or what is wrong.
std::variant<serve_options, exit_code> read_options(int argc, char** argv);

}  // namespace hinge::serve
