#include "client_sources.hpp"

#include <hinge/fd.hpp>
#include <hinge/socket.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hinge::bench {

client_sources::client_sources(const address& target, std::uint32_t connections) {
  if (target.family() != family::ipv4 || !target.is_loopback()) return;
  // 127.1.0.1 to 127.1.249.250: a thousandth of the ports of each at the usual 28,232.
  const std::size_t wanted = std::clamp<std::size_t>(connections / 250, 16, 1000);
  for (std::uint32_t i = 0; i < wanted; ++i) {
    inet_name one = address::loopback(0).inet();
    one.ip = {127, 1, static_cast<std::uint8_t>(i / 250), static_cast<std::uint8_t>(i % 250 + 1)};
    addresses_.push_back(one);
  }
  // Elsewhere than on Linux an address of 127.0.0.0/8 has to be configured first.
  const unique_fd probe(sockets::open_stream(family::ipv4));
  if (sockets::bind(probe.get(), address::from(addresses_[0])) == -EADDRNOTAVAIL)
    addresses_.clear();
}

int client_sources::bind_next(int fd) noexcept {
  if (addresses_.empty()) return 0;
  next_ = (next_ + 1) % addresses_.size();
#ifdef IP_BIND_ADDRESS_NO_PORT
  // The port is picked by connect(2), when the whole 4-tuple is known: 28,232 for each destination.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
#endif
  return sockets::bind(fd, address::from(addresses_[next_]));
}

}  // namespace hinge::bench
