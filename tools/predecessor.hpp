// What hinge-serve has at its start from who ran before, or from a supervisor.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/given_listener.hpp>
#include <hinge/listener.hpp>
#include <hinge/service_manager.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve_options.hpp"

namespace hinge::serve {

/// The descriptor of the stream to the process that is to be followed, as a number.
inline constexpr const char* handover_variable = "HINGE_HANDOVER";
/// How long the predecessor's listeners and its last word may take; it has its own patience.
inline constexpr nanoseconds predecessor_patience = std::chrono::seconds(60);

/// What a successor says when it could serve, and waits for `go`. Then it begins, and says
/// `serving`.
struct successor_ready {
  static constexpr std::uint32_t expected_mark = 0x31'79'64'72;  // "rdy1"
  std::uint32_t mark = expected_mark;
  std::uint32_t listeners = 0;  ///< of those handed over, how many it listens on
  std::int64_t pid = 0;
};
inline constexpr char go = 'g';
inline constexpr char serving = 's';

/// Where it is to listen, and on what.
struct place {
  listener_options how;
  std::vector<given_listener> given = {};  ///< untouched until they are adopted
  std::vector<listener> own = {};          ///< or one that nobody else has

  /// What it listens on from here on, with these options.
  result<std::vector<listener>> take();
};

struct all_places {
  std::vector<place> served;
  std::optional<place> metrics;
};

/// What a server would refuse at that address, of so many sockets that have SO_REUSEPORT or not.
using listen_check =
    std::function<result<void>(const address& where, std::size_t sockets, bool reuse_port)>;

/// Made once, before there are threads: it takes variables out of the environment.
class beginnings {
public:
  /// Listeners come from the predecessor, HINGE_LISTENERS and systemd.
  static result<beginnings> take();

  const service_manager& manager() const noexcept { return manager_; }
  /// For a successor of this process: what it is to hear of the manager.
  const service_manager::variables& manager_variables() const noexcept { return said_; }

  /// Without --listen: where what was given listens.
  std::vector<address> addresses() const;
  /// Where all options say: what was given there, looked at and no more, or what is opened. What is
  /// served has to pass `check`, if there is one, and is opened as one of a group where `group`
  /// says so. Fails when something was given that nobody has asked for, or that can't be served so.
  result<all_places> places(const serve_options& options, bool group, const listen_check& check);
  /// How many were given at each path, to be owned at last: address and file.
  const std::vector<std::pair<address, path_identity>>& paths() const noexcept { return paths_; }

  /// Whether a supervisor has the sockets there, too.
  bool held(const address& where) const;

  /// Tells the predecessor, if there is one, that this process could serve, and waits until it may.
  /// Fails when it may not.
  result<void> take_over();
  /// Tells it that this process does serve, upon which it stops. There is nothing more that could
  /// fail.
  void begin_to_serve();
  bool serves() const noexcept { return serves_; }

private:
  result<place> place_at(const address& where, listener_options how, std::string_view not_named,
                         const listen_check& check);
  result<void> all_taken() const;

  service_manager::variables said_;
  service_manager manager_;
  unique_fd predecessor_;
  std::vector<given_listener> given_;
  std::uint32_t taken_ = 0;
  bool serves_ = false;
  std::vector<address> held_;
  std::vector<std::pair<address, path_identity>> paths_;
};

/// What listeners are called when they are handed over.
inline constexpr const char* served_name = "listen";
inline constexpr const char* metrics_name = "metrics";

}  // namespace hinge::serve
