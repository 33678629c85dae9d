// Who can be compared, or loaded: a server by its name.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "subject.hpp"

namespace hinge::bench {

/// A server that is started, or one that runs already.
struct contender {
  std::string name;
  /// Serves as served_arguments.hpp has it; work and port come behind. Empty: it runs already.
  std::vector<std::string> program = {};
  bool in_process = false;  ///< make_subject() makes it, too
  std::uint16_t port = 0;   ///< on 127.0.0.1, of one that runs already
  pid_t process = -1;       ///< the same one's
};

/// A name of subject_names(), a backend and an accept policy ("epoll:dispatch"), a peer's
/// ("libuv"), or PORT@PID of a server that runs already on 127.0.0.1. Throws units::unit_error when
/// there is none such, and std::runtime_error when it can't be had here, each naming it and the
/// reason.
contender find_contender(std::string_view name);

/// "floor-epoll, epoll, ...": those that find_contender() finds here, but for the running.
std::string contenders_here();

/// Whether it does the work: not all do all.
bool does(const contender& who, server_work work);

/// When this program was started as one of contender::program: serves, and returns the exit code.
std::optional<int> serve_as_contender(int argc, char** argv);

}  // namespace hinge::bench
