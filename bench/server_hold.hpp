// Stops another process for a while, so that connections wait in its queue.
#pragma once

namespace hinge::bench {

/// By SIGSTOP and SIGCONT. At the end it goes on, whatever has happened.
class server_hold {
public:
  explicit server_hold(int process) noexcept : process_(process) {}
  ~server_hold();
  server_hold(const server_hold&) = delete;
  server_hold& operator=(const server_hold&) = delete;

  /// true: returns when all its threads stand still. Throws std::runtime_error when that can't be.
  void set(bool held);

private:
  int process_;
  bool held_ = false;
};

}  // namespace hinge::bench
