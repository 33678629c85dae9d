// Every limit and every probability of a simulation.
#pragma once

#include <cstdint>

namespace hinge::sim {

/// The sizes hold always. The probabilities, from 0 to 1, are those of one occasion each: all 0 is
/// a network and a backend without surprises.
struct conditions {
  std::uint32_t descriptors = 4096;  ///< of the process; one more is EMFILE
  std::uint32_t receive_buffer_bytes = 64 * 1024;
  std::uint32_t send_buffer_bytes = 64 * 1024;

  // --- the network ---
  double short_receive = 0;           ///< the rest of what is there arrives a moment later
  double short_send = 0;              ///< room for the rest appears a moment later
  double urgent = 0;                  ///< a peer sends urgent data: a short receive tells nothing
  double reset_drops_unread = 0;      ///< a reset destroys bytes that the server had not read
  double accept_interrupted = 0;      ///< EINTR; nothing is taken
  double accept_aborted = 0;          ///< ECONNABORTED and its relatives; that connection is lost
  double accept_exhausted = 0;        ///< an episode of EMFILE, ENFILE, ENOBUFS or ENOMEM begins
  std::uint32_t longest_episode = 4;  ///< accepts that fail in an episode

  // --- the backend ---
  double delay = 0;           ///< something that happened is told in a later turn
  double truncate = 0;        ///< a turn reports fewer events than there is room for
  double spurious = 0;        ///< readable and writable, and it isn't so
  double stale = 0;           ///< an event of a connection that has been closed (readiness)
  double split = 0;           ///< a report has only the bits that changed, not all that hold
  double refuse = 0;          ///< a change that starts something fails, for lack of memory
  double more_ends = 0;       ///< an accept or a receive works and disarms itself
  double no_buffers = 0;      ///< with no free buffer a receive ends with ENOBUFS
  double tell_cancelled = 0;  ///< what a detach cancels is told, with ECANCELED
  double slow_clock = 0;      ///< a turn takes time, up to longest_turn
  std::int64_t longest_turn_ns = 2'000'000;
  bool asks_to_send = false;  ///< poller_limits::asks_to_send (readiness)
  std::uint32_t ahead = 4;    ///< completions per connection that happen before they are told
};

}  // namespace hinge::sim
