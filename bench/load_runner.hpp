// Loads on the server that the command line asks for.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "load_command.hpp"
#include "own_server.hpp"
#include "report.hpp"
#include "server_process.hpp"

namespace hinge::bench {

/// The server lives as long as this, if it is hinge-bench's own.
class load_runner {
public:
  /// Starts it, and enters it as `given.load.target`; as a process in a fresh network, which this
  /// thread then has, too, where that is permitted. That another backend than the preferred one
  /// serves is told. Throws units::unit_error and std::runtime_error.
  explicit load_runner(load_arguments& given);

  /// One load, as `given` has it at that time.
  report measure(const std::atomic<bool>& stop);

private:
  int server() const;  // its process, or this one; 0: it isn't known
  void look(observation& into) const;

  load_arguments& given_;
  std::optional<own_server> own_;
  std::optional<server_process> started_;
  std::string backend_;
  std::string about_;
};

}  // namespace hinge::bench
