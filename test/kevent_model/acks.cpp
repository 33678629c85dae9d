#include "kevent_model/filters.hpp"

#include <linux/tcp.h>  // netinet/tcp.h knows fewer counters
#include <netinet/in.h>
#include <sys/socket.h>

namespace hinge::test::kevent_model {

std::uint64_t acknowledged(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  const bool told = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return told ? info.tcpi_bytes_acked : 0;
}

}  // namespace hinge::test::kevent_model
