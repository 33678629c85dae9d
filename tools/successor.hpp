// The process that follows this one: --upgrade.
#pragma once

#include <hinge/error.hpp>
#include <hinge/listener.hpp>
#include <hinge/listener_passing.hpp>
#include <hinge/service_manager.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/types.h>

#include "serve_options.hpp"

namespace hinge::serve {

/// What became of the attempts so far.
struct upgrade_report {
  std::uint64_t attempts = 0;
  std::uint64_t failures = 0;
  std::string last_error;
  pid_t successor = -1;  ///< -1: none has followed
};

/// Attempts to be followed by another process, one at a time, each in a thread of its own. It
/// serves until the other one is ready; an attempt that fails changes nothing.
class successor {
public:
  /// `listeners` stay open until cancel() has returned, or the successor serves. `manager` outlives
  /// this object.
  successor(const upgrade_options& options, std::vector<outgoing_listener> listeners,
            const service_manager& manager, const service_manager::variables& of_manager,
            const sigset_t& signals);
  successor(const successor&) = delete;
  successor& operator=(const successor&) = delete;
  ~successor();

  /// Starts the new process. `followed` is called in the attempt's thread when that one serves,
  /// and this one is to accept no more. Nothing while an attempt goes on, or one has succeeded. One
  /// thread.
  void begin(std::function<void()> followed);
  /// The running attempt fails, and there is no further one: none uses the listeners any more.
  /// False: it is too late, the other process serves. Any thread.
  bool cancel();
  upgrade_report report() const;

private:
  struct child {
    pid_t pid = -1;
    unique_fd stream;
  };
  void attempt(const std::function<void()>& followed);
  void failed(const error& why);
  result<pid_t> follow();
  result<child> start() const;
  result<std::int64_t> hear(const child& of, deadline until) const;
  result<std::int64_t> judge(const child& of, const std::string& said) const;
  bool serves(const child& of, deadline until) const;
  failure gone(pid_t pid, int status, std::string_view before) const;
  result<void> send_to(const child& made, deadline until);
  bool cancelled() const;

  const upgrade_options options_;
  const std::vector<outgoing_listener> listeners_;
  const service_manager& manager_;
  std::vector<std::string> environment_;
  sigset_t signals_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable sent_;
  int sending_ = -1;  // the stream on which the listeners are under way
  bool busy_ = false;
  bool cancelled_ = false;
  upgrade_report report_;
};

}  // namespace hinge::serve
