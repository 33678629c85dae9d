// The servers that the counts and ratios compare, behind one shape: hinge's loop over each backend
// of this build, and the floor under each, doing the same work on a loopback listener of their own.
// "epoll" is hinge over epoll, "floor-epoll" its floor; floors without a backend are "floor-drain",
// which accepts until nobody is left, and "floor-blocking". "epoll:send-close" is hinge whose
// handler sends its last reply and closes then, and not in one; "epoll:needless-option" sets one
// more for each connection.
#pragma once

#include <hinge/listener.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hinge::bench {

/// ac: accept, close. crr: accept, receive, send the same (up to 64 bytes) back, close. echo: send
/// back what comes until the client ends the connection. proxy: two connections that follow one
/// another are joined, what comes by one goes out by the other; keep: the same, kept in on_data and
/// sent after the turn. Floors do the first three.
enum class server_work : std::uint8_t { ac, crr, echo, proxy, keep };

/// One server; one thread.
class subject {
public:
  virtual ~subject() = default;

  /// Serves until it has closed `total` connections since it was made. False: it broke. The turns
  /// are inside, so that the shape costs no indirect call per turn.
  virtual bool serve_until_closed(std::uint64_t total) = 0;
  /// One turn that doesn't wait. Where requests travel with the next turn, clients may not have
  /// been told of the last closes without it.
  virtual bool turn_at_once() = 0;
  virtual std::uint64_t closed() const noexcept = 0;
  /// Of the listener, on 127.0.0.1.
  virtual std::uint16_t port() const noexcept = 0;
  /// How it serves (backend_text()); empty: its name says all.
  virtual std::string about() { return {}; }
};

/// All that make_subject() knows in this build. With a colon: a variant, which does one work.
std::span<const std::string_view> subject_names() noexcept;
/// "epoll", and "uring" where it is built.
std::span<const std::string_view> subject_backends() noexcept;
std::string floor_of(std::string_view backend);

/// A name of subject_names(), on a listener with the options. Throws std::invalid_argument for
/// another name, or a work that this one doesn't do; std::runtime_error with the reason when it
/// can't be opened.
std::unique_ptr<subject> make_subject(std::string_view name, server_work work,
                                      const listener_options& options = {});

/// Why one of subject_names() can't be used on this machine, or nothing.
std::optional<std::string> missing_here(std::string_view name);

/// "ac", "crr", "echo", "proxy" or "keep"; throws std::invalid_argument.
server_work parse_work(std::string_view text);
std::string_view name_of(server_work) noexcept;

}  // namespace hinge::bench
