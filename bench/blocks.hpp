// A block: so many connections to a server, one batch after the other, and the CPU time that they
// took. In two ways:
//   one process    both ends in one thread: the sharpest, but the server never sleeps
//   two processes  on one CPU; the server sleeps until there is a connection, as servers do
#pragma once

#include <cstdint>

#include "server_process.hpp"
#include "subject.hpp"

namespace hinge::bench {

struct block {
  server_work work = server_work::ac;  // or crr
  unsigned connections = 200;
  /// Connected (crr: and sent) before the server looks; `connections` is a multiple of it.
  unsigned waiting = 1;
  /// ac: clients have reset their connections before the server looks. What is left of its work is
  /// accepting, and a close that sends nothing.
  bool gone = false;
};

/// Microseconds per connection.
struct block_cost {
  double server = 0;
  double both = 0;  ///< both ends together
};

/// The server's part is the CPU time within its turns. Throws std::runtime_error when it breaks.
block_cost run_block(subject& server, const block& what);
/// While others of a batch connect the server is stopped (SIGSTOP).
block_cost run_block(const server_process& server, const block& what);

/// Connections of ac or crr, one after the other, not timed; they end with a FIN.
void connect_plainly(std::uint16_t port, server_work work, unsigned connections);

}  // namespace hinge::bench
