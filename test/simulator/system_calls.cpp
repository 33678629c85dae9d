
// The table of system calls that puts a network underneath the library: calls on simulated
// descriptors, and socket(2) for Internet addresses, are the network's; the rest the system's.
#include "simulator/network.hpp"

#include "sys.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hinge::sim {

namespace {

bool ours(int fd) { return network::owns(fd); }
network& net() { return network::current(); }

int give_name(const address& name, sockaddr* into, socklen_t* length) {
  std::array<std::byte, address::kernel_capacity> raw;
  const std::size_t size = name.to_kernel(raw);
  std::memcpy(into, raw.data(), std::min<std::size_t>(size, *length));
  *length = static_cast<socklen_t>(size);
  return 0;
}

/// What a completion backend receives or sends is none of the loop's.
void beside_the_backend(const char* call, bool other) {
  if (other) net().violation(std::string(call) + " beside a completion backend's own");
}
void beside_its_send(const char* call, int fd) {
  beside_the_backend(call, net().poller != nullptr && net().poller->sends(fd));
}

int sim_socket(int domain, int type, int protocol) noexcept {
  if (domain == AF_UNIX) return sys::real.socket(domain, type, protocol);
  return net().open_socket();
}

int sim_bind(int fd, const sockaddr* name, socklen_t length) noexcept {
  if (!ours(fd)) return sys::real.bind(fd, name, length);
  return net().bind(fd, address::from_kernel(name, length));
}

int sim_listen(int fd, int backlog) noexcept {
  return ours(fd) ? net().listen(fd, backlog) : sys::real.listen(fd, backlog);
}

int accept_simulated(int fd, sockaddr* name, socklen_t* length) {
  inet_name who;
  const int accepted = net().accept(fd, who);
  if (accepted >= 0) give_name(address::from(who), name, length);
  return accepted;
}

#ifdef HINGE_HAVE_ACCEPT4
int sim_accept4(int fd, sockaddr* name, socklen_t* length, int flags) noexcept {
  return ours(fd) ? accept_simulated(fd, name, length) : sys::real.accept4(fd, name, length, flags);
}
#else
int sim_accept(int fd, sockaddr* name, socklen_t* length) noexcept {
  return ours(fd) ? accept_simulated(fd, name, length) : sys::real.accept(fd, name, length);
}
#endif

int sim_getsockname(int fd, sockaddr* name, socklen_t* length) noexcept {
  if (!ours(fd)) return sys::real.getsockname(fd, name, length);
  const listening* const listener = net().listener_of(fd);
  return listener != nullptr ? give_name(listener->at, name, length) : -EBADF;
}

int sim_getpeername(int fd, sockaddr* name, socklen_t* length) noexcept {
  if (!ours(fd)) return sys::real.getpeername(fd, name, length);
  const stream* const connection = net().stream_of(fd);
  if (connection == nullptr || connection->dead) return -ENOTCONN;
  return give_name(address::from(connection->peer), name, length);
}

int sim_setsockopt(int fd, int level, int option, const void* value, socklen_t length) noexcept {
  if (!ours(fd)) return sys::real.setsockopt(fd, level, option, value, length);
  if (!net().is_open(fd)) {
    net().violation("setsockopt on closed descriptor " + std::to_string(fd - network::first_fd));
    return -EBADF;
  }
  stream* const connection = net().stream_of(fd);
  if (connection != nullptr && level == SOL_SOCKET && option == SO_LINGER) {
    linger wanted;
    std::memcpy(&wanted, value, sizeof wanted);
    connection->reset_on_close = wanted.l_onoff != 0 && wanted.l_linger == 0;
  }
  return 0;
}

int sim_getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  if (!ours(fd)) return sys::real.getsockopt(fd, level, option, value, length);
  if (level == SOL_SOCKET && option == SO_ERROR) {
    stream* const connection = net().stream_of(fd);
    if (connection == nullptr) return -EBADF;
    const int pending = std::exchange(connection->error, 0);
    std::memcpy(value, &pending, sizeof pending);
    return 0;
  }
  const listening* const listener = net().listener_of(fd);
  if (level == IPPROTO_TCP && option == TCP_INFO && listener != nullptr) {
    tcp_info facts{};
    facts.tcpi_unacked = static_cast<std::uint32_t>(listener->waiting.size());
    facts.tcpi_sacked = static_cast<std::uint32_t>(listener->backlog);
    std::memcpy(value, &facts, std::min<std::size_t>(*length, sizeof facts));
    return 0;
  }
  return -ENOPROTOOPT;
}

ssize_t sim_recv(int fd, void* into, std::size_t length, int flags) noexcept {
  if (!ours(fd)) return sys::real.recv(fd, into, length, flags);
  beside_the_backend("recv", net().poller != nullptr && net().poller->receives_itself());
  return net().receive(fd, {static_cast<std::byte*>(into), length});
}

ssize_t sim_send(int fd, const void* from, std::size_t length, int flags) noexcept {
  if (!ours(fd)) return sys::real.send(fd, from, length, flags);
  beside_its_send("send", fd);
  return net().send(fd, {static_cast<const std::byte*>(from), length}, (flags & MSG_MORE) != 0);
}

ssize_t sim_sendmsg(int fd, const msghdr* message, int flags) noexcept {
  if (!ours(fd)) return sys::real.sendmsg(fd, message, flags);
  beside_its_send("sendmsg", fd);
  std::string all;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i)
    all.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
  return net().send(fd, std::as_bytes(std::span(all)), (flags & MSG_MORE) != 0);
}

int sim_shutdown(int fd, int how) noexcept {
  return ours(fd) ? net().shutdown_write(fd) : sys::real.shutdown(fd, how);
}

int sim_fcntl(int fd, int what, int argument) noexcept {
  return ours(fd) ? 0 : sys::real.fcntl(fd, what, argument);
}

int sim_close(int fd) noexcept { return ours(fd) ? net().close(fd) : sys::real.close(fd); }

sys::call_table make_table() {
  sys::call_table table = sys::real;
  table.socket = sim_socket;
  table.bind = sim_bind;
  table.listen = sim_listen;
#ifdef HINGE_HAVE_ACCEPT4
  table.accept4 = sim_accept4;
#else
  table.accept = sim_accept;
#endif
  table.getsockname = sim_getsockname;
  table.getpeername = sim_getpeername;
  table.setsockopt = sim_setsockopt;
  table.getsockopt = sim_getsockopt;
  table.recv = sim_recv;
  table.send = sim_send;
  table.sendmsg = sim_sendmsg;
  table.shutdown = sim_shutdown;
  table.fcntl = sim_fcntl;
  table.close = sim_close;
  return table;
}

}  // namespace

network::network(random_source from, const conditions& conditions)
    : random(from), with(conditions) {
  current_ = this;
  sys::current = make_table();
}

network::~network() {
  sys::current = sys::real;
  current_ = nullptr;
}

}  // namespace hinge::sim
