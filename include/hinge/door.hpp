// A listener of a loop, and what the loop knows about its accepting.
#pragma once

#include <hinge/address_rules.hpp>
#include <hinge/close_cause.hpp>
#include <hinge/listener.hpp>
#include <hinge/rate_limit.hpp>
#include <hinge/time.hpp>

#include <cstdint>
#include <memory>

namespace hinge {

/// Whom a listener lets in. Decided when a connection has been accepted, and before it costs more:
/// who is turned away costs an accept and a close, and no handler hears of it. Asked in this order:
/// the rules, the listener's number, the source's limits, the listener's rate. Where accept doesn't
/// tell the peer (io_uring's multishot) rules and sources take a getpeername(2) more, and a peer
/// that has reset by then has no name: it ends as peer_reset.
struct door_options {
  std::shared_ptr<const address_rules> rules = {};  ///< none: everybody; loops may share them
  std::uint32_t max_connections = 0;                ///< at one time; 0: no limit
  rate new_connections = {};                        ///< a second; 0: no limit

  bool limits() const noexcept {
    return rules != nullptr || max_connections != 0 || new_connections.limits();
  }
};

struct door {
  listener socket;
  bool armed = false;    // the backend accepts on it
  bool closing = false;  // to be detached, or dead
  bool detach_due = false;
  bool exhausted = false;  // waits for a descriptor until retry_at; back_off is not 0 then
  instant retry_at = 0;
  instant back_off = 0;  // 0: the last accept worked
  instant told_at = 0;   // the last exhaustion; 0: none yet
  door_options options = {};
  rate_limit pace = rate_limit();  // options.new_connections
  instant pace_full_at = 0;        // see rate_limit
  std::uint32_t connections = 0;   // counted ones

  bool permits(const inet_name& peer) const noexcept {
    return options.rules == nullptr || options.rules->permits(peer);
  }
  bool full() const noexcept {
    return options.max_connections != 0 && connections >= options.max_connections;
  }
};

}  // namespace hinge
