// A blocking client, one system call after the other: for programs that count or time a server and
// want its clients to do the same each time. All throw std::system_error, naming the call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hinge::bench {

inline constexpr std::size_t request_bytes = 64;

/// What a system call returned, or std::system_error with errno if that is negative.
int checked(long returned, const char* call);

/// A blocking connection to 127.0.0.1:port.
int connect_to(std::uint16_t port);

/// At most 4096 bytes.
void send_request(int fd, std::size_t bytes = request_bytes);

/// Whether receiving wouldn't wait: bytes are there, or the end.
bool anything_received(int fd);

/// Receives `expected` bytes, and the end behind them if `to_end`. Throws std::runtime_error when
/// there are more or fewer.
void receive_reply(int fd, std::size_t expected, bool to_end);

/// Closes: with a reset, which leaves no TIME_WAIT behind, so that ports don't run out; or a FIN.
void end_connection(int fd, bool by_reset);

}  // namespace hinge::bench
