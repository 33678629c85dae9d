// The listeners of a simulated backend.
#pragma once

#include <hinge/poller.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace hinge::sim {

class network;

/// Accepts when an event is wanted, and, as a completion backend, ahead of that.
class accept_streams {
public:
  struct accepted {
    event what;
    inet_name peer;
  };

  /// `ahead`: most connections that a listener's stream takes before they are told.
  void open(network& in, std::uint32_t ahead);
  /// Accepted connections that were never told are closed.
  ~accept_streams();

  /// An accept, a stop_accept or a listener's detach; the answer, if there is one at once.
  std::optional<event> apply(const change& wanted);
  void advance();
  /// Appends the listeners that have something to tell.
  void talkative(std::vector<token>& into) const;
  std::optional<accepted> next(token subject);
  bool holds(int fd) const;

private:
  struct taken {
    int result;
    inet_name peer;
  };
  struct accepting {
    token subject;
    int fd = -1;
    bool armed = false;       // the kernel accepts
    bool told_armed = false;  // as far as the loop can know
    bool detaching = false;   // until all that it has accepted has been told
    std::deque<taken> pending;
  };

  bool waiting(const accepting& at) const;
  void take(accepting& from);
  void close_surplus(accepting& of);

  network* net_ = nullptr;
  std::uint32_t ahead_ = 0;
  std::map<std::uint32_t, accepting> sources_;  // by slot
};

}  // namespace hinge::sim
