#include "plain_client.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace hinge::bench {

int checked(long returned, const char* call) {
  if (returned < 0) throw std::system_error(errno, std::generic_category(), call);
  return static_cast<int>(returned);
}

int connect_to(std::uint16_t port) {
  const int fd = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  checked(connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), "connect");
  return fd;
}

void send_request(int fd, std::size_t bytes) {
  static constexpr std::array<char, 4096> request{};
  // A blocking send takes a packet whole.
  checked(send(fd, request.data(), std::min(bytes, request.size()), MSG_NOSIGNAL), "send");
}

bool anything_received(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void receive_reply(int fd, std::size_t expected, bool to_end) {
  std::array<char, 4096> reply;
  std::size_t received = 0;
  while (received < expected || to_end) {
    const int got = checked(recv(fd, reply.data(), reply.size(), 0), "recv");
    if (got == 0) break;
    received += static_cast<std::size_t>(got);
  }
  if (received != expected) {
    throw std::runtime_error(fmt::format("{} bytes came back, not {}", received, expected));
  }
}

void end_connection(int fd, bool by_reset) {
  const linger reset{1, 0};
  if (by_reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
}

}  // namespace hinge::bench
