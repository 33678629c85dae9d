// The servers that the counts and ratios compare, behind one shape: the floor and hinge's loop over
// each backend, doing the same work on a loopback listener of their own.
#pragma once

#include <hinge/listener.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hinge::bench {

/// ac: accept, close. crr: accept, receive, send the same (up to 64 bytes) back, close. echo: send
/// back what comes until the client ends the connection.
enum class server_work : std::uint8_t { ac, crr, echo };

/// One server; one thread.
class subject {
public:
  virtual ~subject() = default;

  /// Serves until it has closed `total` connections since it was made. False: it broke. The turns
  /// are inside, so that the shape costs no indirect call per turn.
  virtual bool serve_until_closed(std::uint64_t total) = 0;
  virtual std::uint64_t closed() const noexcept = 0;
  /// Of the listener, on 127.0.0.1.
  virtual std::uint16_t port() const noexcept = 0;
};

/// "floor" or "hinge", on a listener with the options. Throws std::invalid_argument for another
/// name, std::runtime_error with the reason when it can't be opened.
std::unique_ptr<subject> make_subject(std::string_view name, server_work work,
                                      const listener_options& options = {});

/// "ac", "crr" or "echo"; throws std::invalid_argument.
server_work parse_work(std::string_view text);

}  // namespace hinge::bench
