// What is known about each connection of a simulation, from both ends, without the library.
#pragma once

#include <hinge/close_cause.hpp>
#include <hinge/time.hpp>

#include "simulator/network.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hinge::sim {

/// The byte at `offset` of the stream that peer `number` sends.
std::byte peer_byte(std::uint32_t number, std::uint64_t offset);
/// The byte at `offset` of what the server says of its own.
std::byte server_byte(std::uint64_t offset);

/// How the server treats a connection.
enum class manner : std::uint8_t { echoes, discards, replies_once, improvises };

/// The server's end.
struct served {
  manner how = manner::echoes;
  std::uint64_t heard = 0;  // bytes that on_data was given
  std::string said;         // bytes that send() or finish() took
  std::string refused;      // bytes of which a part may have gone before they were refused
  bool ended = false;       // on_end
  bool closed_here = false;
  bool aborted_here = false;
  bool shut_here = false;
  bool paused = false;
  int closes = 0;
  close_cause cause = close_cause::none;
};

/// The peer's end, and what it is up to.
struct actor {
  peer end;
  std::uint64_t to_send = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  double reads = 1;   // chance a step
  double writes = 1;  // chance a step
  double quits = 0;   // chance a step to shut down, close or reset before its time
  bool over = false;  // shut down, closed or reset
  bool gone = false;  // closed or reset
};

/// Notes the first thing that went wrong.
class verdict {
public:
  void fail(std::string what) {
    if (what_.empty()) what_ = std::move(what);
  }
  void check(bool fine, const char* what) {
    if (!fine) fail(what);
  }
  bool failed() const { return !what_.empty(); }
  const std::string& what() const { return what_; }

private:
  std::string what_;
};

/// Both ends of all connections; the numbers are those of the streams.
struct model {
  verdict outcome;
  std::vector<actor> actors;
  std::vector<served> servers;  // as many; `closes` -1: never accepted

  /// Takes what the peer has received and compares it with what the server has said.
  void receive(std::size_t number, std::size_t most);
  /// The peer sends up to `most` of what it wants to send.
  void send(std::size_t number, std::size_t most);
  /// At the end of a peer's stream: nothing may be missing.
  void check_end(std::size_t number);
};

}  // namespace hinge::sim
