// A listener that stops accepting and loses nobody.
#pragma once

#include <hinge/export.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hinge {

struct retire_options {
  /// From the first step on; after that what is left is closed all the same.
  nanoseconds within = std::chrono::seconds(5);
  /// Somebody else holds the same sockets, and accepts on them: a supervisor, or who was given
  /// them. They go on with him; a Unix path stays.
  bool held_elsewhere = false;
};

/// What is promised to those who connect. docs/RESTARTS.md tells of each.
enum class retire_guarantee : std::uint8_t {
  held,      ///< somebody else has the sockets: nobody is lost
  migrates,  ///< the kernel gives a sibling those who wait (net.ipv4.tcp_migrate_req): none is lost
  steers,    ///< who comes goes to a sibling, who waits is served: nobody is lost
  puts_off,  ///< who waits is served; who comes tries again after a second, and is refused then if
             ///< nobody listens
  empties,   ///< who waits is served; who comes in the moment of closing may be reset
};

/// "held", "migrates", ...
HINGE_API std::string_view guarantee_name(retire_guarantee which) noexcept;

/// What can be promised now. A sibling is another socket of the same port and owner
/// (SO_REUSEPORT), here or in another process.
struct retire_plan {
  retire_guarantee guarantee = retire_guarantee::empties;
  std::uint32_t sockets = 0;            ///< that are to be closed
  std::uint32_t siblings = 0;           ///< that go on
  bool siblings_known = true;           ///< false: the system didn't tell, they count as none
  std::optional<std::uint32_t> queued;  ///< clients that wait now; of TCP, where it is told

  /// In a few words: "1 sibling: no loss".
  HINGE_API std::string text() const;
};

struct retire_report {
  retire_guarantee by = retire_guarantee::empties;  ///< what was done; see retire_plan
  std::uint32_t steered = 0;      ///< sockets of siblings that new clients were steered to
  std::uint64_t drained = 0;      ///< clients accepted since the loops have heard of it
  std::uint64_t handed_over = 0;  ///< clients left to somebody else, where the system tells
  /// Clients that still waited when their socket was closed, and handshakes that had not come to
  /// their end (some may be a sibling's, or nobody's). Of those that the kernel answered by SYN
  /// cookies it knows nothing; nor how many wait at a Unix socket.
  std::uint64_t lost = 0;
  nanoseconds took{};
};

/// A listener of a loop.
struct loop_door {
  loop_base* loop = nullptr;
  std::size_t listener = 0;
};

/// Retires the sockets of one address, step by step. The loops go on: they accept what waits, and
/// serve what they have. One thread at a time; the loops outlive it. Its end, when that comes
/// early, leaves the listeners as they were, but for those that are closed.
class retirement {
public:
  /// Looks, and does nothing yet. Any thread. A listener that has been closed isn't one of its.
  HINGE_API retirement(loop_base& loop, std::size_t listener,
                       const retire_options& options = {}) noexcept;
  /// Several sockets of one port, each with the doors of the loops that accept on it.
  HINGE_API retirement(const std::vector<std::vector<loop_door>>& sockets,
                       const retire_options& options) noexcept;
  HINGE_API retirement(retirement&&) noexcept;
  HINGE_API ~retirement();

  HINGE_API const retire_plan& plan() const noexcept;
  /// Does what can be done now, some system calls. True: all are closed, and the port is free.
  HINGE_API bool step() noexcept;
  /// Until when there is nothing to do; the loop's thread may have a turn that long.
  HINGE_API deadline next() const noexcept;
  /// Sleeps until then, or until a loop has closed a listener. Not in a loop's thread.
  HINGE_API void wait() const noexcept;
  /// Its loops end: what is left is closed at once, and nothing that they would say is waited for.
  /// It is done.
  HINGE_API void give_up() noexcept;
  /// Steps to the end. Not in a loop's thread.
  HINGE_API const retire_report& run() noexcept;
  HINGE_API const retire_report& report() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Steps several to their end, side by side, or gives up when `loops_end` says so, which is asked
/// between steps; what became of all their clients, and the weakest of what was done. Not in a
/// loop's thread.
HINGE_API retire_report run_all(std::span<retirement> all,
                                const std::function<bool()>& loops_end = {}) noexcept;

}  // namespace hinge
