// Loopback TCP as the io_uring backend sees it: what it does is counted by its requests.
#pragma once

#include <hinge/fd.hpp>

#include "conformance/world.hpp"
#include "simulator/ring_hooks.hpp"

#include <string>
#include <utility>
#include <vector>

namespace hinge::test {

class uring_world final : public real_world {
public:
  uring_world();

  static result<void> usable();
  bool takes_ahead() const override { return true; }

  std::unique_ptr<client> connect(const address& to) override;
  /// By taking all of them: an accept goes by the limit that was in force when it was asked for.
  void exhaust_descriptors() override;
  void restore_descriptors() override { taken_.clear(); }
  /// Of the accept that is asked for next, or of the one under way when the next client comes.
  void fail_next_accept(int code) override { accept_failure_ = code; }
  std::uint64_t accepts() const override;
  std::uint64_t empty_accepts() const override;
  /// Requests to receive; to wait for something to receive is none.
  std::uint64_t registrations() const override { return rings_.count(IORING_OP_RECV); }
  bool end_was_joined(const client& with, int fd) const override;
  std::string violations() const override;
  void forgive() override { rings_.forgive(); }

  ring_hooks& rings() { return rings_; }

private:
  int accept_failure_ = 0;
  std::vector<unique_fd> taken_;
  ring_hooks rings_;
};

}  // namespace hinge::test
