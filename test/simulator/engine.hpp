// What a family of backends does with connections: poller_model's exchangeable part.
#pragma once

#include <hinge/poller.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace hinge::sim {

class network;

class engine {
public:
  virtual ~engine() = default;

  /// Applies a change of a connection, or a recycle. The answer that is due in the same turn, if
  /// any.
  virtual std::optional<event> apply(const change& wanted) = 0;
  /// Lets happen what the kernel does meanwhile.
  virtual void advance() = 0;
  /// Appends the connections about which there is something to tell.
  virtual void talkative(std::vector<token>& into) const = 0;
  /// The next event of one of those; nothing when there is no more.
  virtual std::optional<event> next(token subject) = 0;
  virtual bool holds(int fd) const = 0;
  virtual bool sends(int fd) const = 0;
  virtual void closed(int fd) = 0;
  virtual poller_limits limits() const = 0;
};

std::unique_ptr<engine> make_readiness_engine(network& in);
std::unique_ptr<engine> make_completion_engine(network& in, const poller_options& options);

}  // namespace hinge::sim
