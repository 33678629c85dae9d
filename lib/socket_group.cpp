#include "socket_group.hpp"

#include <hinge/fd.hpp>
#include <hinge/socket.hpp>
#include <hinge/time.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#ifdef SO_ATTACH_REUSEPORT_CBPF  // Linux
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "nap.hpp"
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <utility>

#include "listener_options.hpp"
#include "listener_queue.hpp"
#include "steering.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

namespace hinge {

bool clients_migrate() noexcept { return read_setting("/proc/sys/net/ipv4/tcp_migrate_req") == 1; }

#ifdef SO_ATTACH_REUSEPORT_CBPF

namespace {

/// Calls `tell` with each TCP socket of that family and port in one of `states`, a bit each.
template <class Tell>
int each_socket(int domain, std::uint16_t port, unsigned states, Tell tell) noexcept {
  const unique_fd link(sys::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!link) return link.get();
  struct {
    nlmsghdr head;
    inet_diag_req_v2 body;
  } asked = {};
  asked.head = {.nlmsg_len = sizeof asked,
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                .nlmsg_seq = 0,
                .nlmsg_pid = 0};
  asked.body.sdiag_family = static_cast<std::uint8_t>(domain);
  asked.body.sdiag_protocol = IPPROTO_TCP;
  asked.body.idiag_states = states;
  asked.body.id.idiag_sport = htons(port);
  asked.body.id.idiag_cookie[0] = asked.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  const ssize_t sent = sys::send(link.get(), &asked, sizeof asked, 0);
  if (sent < 0) return static_cast<int>(sent);
  alignas(nlmsghdr) std::array<char, 32768> room;
  for (;;) {
    ssize_t got = sys::recv(link.get(), room.data(), room.size(), 0);
    if (got < 0) return static_cast<int>(got);
    for (const char* at = room.data(); got >= static_cast<ssize_t>(sizeof(nlmsghdr));) {
      nlmsghdr head;
      std::memcpy(&head, at, sizeof head);
      if (head.nlmsg_len < sizeof head || head.nlmsg_len > static_cast<std::size_t>(got))
        return -EPROTO;
      if (head.nlmsg_type == NLMSG_DONE) return 0;
      if (head.nlmsg_type == NLMSG_ERROR) {
        int code = -EPROTO;
        if (head.nlmsg_len >= NLMSG_HDRLEN + sizeof code)
          std::memcpy(&code, at + NLMSG_HDRLEN, sizeof code);
        return code < 0 ? code : -EPROTO;
      }
      inet_diag_msg one;
      if (head.nlmsg_len >= NLMSG_HDRLEN + sizeof one) {
        std::memcpy(&one, at + NLMSG_HDRLEN, sizeof one);
        if (one.id.idiag_sport == htons(port)) tell(one);
      }
      const std::size_t step =
          std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), static_cast<std::size_t>(got));
      at += step;
      got -= static_cast<ssize_t>(step);
    }
  }
}

int domain_of(const address& at) noexcept {
  return at.family() == family::ipv4 ? AF_INET : AF_INET6;
}

/// As sock_diag names it.
int cookie_of(int fd, std::uint64_t& into) noexcept {
  socklen_t length = sizeof into;
  return sys::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &into, &length);
}

/// Where a SYN reaches a listener on this address from this machine.
address reachable(const address& at) noexcept {
  if (at.inet().ip != std::array<std::uint8_t, 16>{}) return at;
  return at.family() == family::ipv4 ? address::loopback(at.port()) : address::loopback6(at.port());
}

/// A socket with a port of its own, which hears no answer.
int open_probe(const address& to, unique_fd& into, std::uint16_t& port) noexcept {
  into.reset(stream_socket::open(domain_of(to)));
  if (!into) return into.get();
  if (const int failed = deafen(into.get()); failed < 0) return failed;
  const address own = to.family() == family::ipv4 ? address::any(0) : address::any6(0);
  if (const int failed = sockets::bind(into.get(), own); failed < 0) return failed;
  const result<address> named = sockets::name_of(into.get());
  if (!named) return -named.error().code();
  port = named->port();
  return 0;
}

/// One SYN: see who_is_at().
int probe_once(std::uint32_t place, std::span<const int> ours, const address& to,
               std::uint16_t& port) noexcept {
  unique_fd probe;
  if (const int failed = open_probe(to, probe, port); failed < 0) return failed;
  std::vector<long> before;
  int failed = 0;
  for (const int fd : ours) {
    failed = std::min(failed, put_off_port(fd, port));
    before.push_back(drops_at(fd));
  }
  if (failed == 0) failed = steer_port(ours.front(), to.family(), port, place);
  if (failed == 0) failed = sockets::connect(probe.get(), to);
  // It is dropped where it came to: at one of ours, or, as an answer, at the one who asked.
  int found = failed == -EINPROGRESS ? -ETIMEDOUT : std::min(failed, -1);
  for (int tries = 0; found == -ETIMEDOUT && tries < 20; ++tries) {
    if (tries != 0) nap(std::chrono::microseconds(100));
    for (std::size_t i = 0; i < ours.size(); ++i)
      if (drops_at(ours[i]) != before[i]) found = static_cast<int>(i);
    if (found == -ETIMEDOUT && drops_at(probe.get()) > 0) found = -1;
  }
  for (const int fd : ours) hear_all(fd);
  return found;
}

}  // namespace

int group_size(int listener, const address& at) noexcept {
  std::uint64_t cookie = 0;
  if (const int failed = cookie_of(listener, cookie); failed < 0) return failed;
  std::vector<inet_diag_msg> all;
  const int asked = each_socket(domain_of(at), at.port(), 1U << TCP_LISTEN,
                                [&](const inet_diag_msg& one) { all.push_back(one); });
  if (asked < 0) return asked;
  const auto own = std::ranges::find_if(all, [&](const inet_diag_msg& one) {
    return std::memcmp(one.id.idiag_cookie, &cookie, sizeof cookie) == 0;
  });
  if (own == all.end()) return -ENOENT;
  return static_cast<int>(std::ranges::count_if(all, [&](const inet_diag_msg& one) {
    return one.idiag_uid == own->idiag_uid && one.id.idiag_if == own->id.idiag_if &&
           std::memcmp(one.id.idiag_src, own->id.idiag_src, sizeof one.id.idiag_src) == 0;
  }));
}

int handshakes_at(const address& at, std::vector<inet_name>& into) noexcept {
  into.clear();
  const auto add = [&](const inet_diag_msg& one) {
    inet_name name = {.port = ntohs(one.id.idiag_dport),
                      .family = one.idiag_family == AF_INET ? family::ipv4 : family::ipv6};
    std::memcpy(name.ip.data(), one.id.idiag_dst, name.family == family::ipv4 ? 4 : 16);
    into.push_back(name);
  };
  int asked = each_socket(domain_of(at), at.port(), 1U << TCP_SYN_RECV, add);
  // An IPv6 socket may have IPv4 clients.
  if (asked == 0 && at.family() == family::ipv6)
    asked = each_socket(AF_INET, at.port(), 1U << TCP_SYN_RECV, add);
  return asked;
}

int who_is_at(std::uint32_t place, std::span<const int> ours, const address& at,
              std::vector<std::uint16_t>& asked_from) noexcept {
  const address to = reachable(at);
  int last = -ETIMEDOUT;
  for (int tries = 0; tries < 5; ++tries) {
    const int found = probe_once(place, ours, to, asked_from.emplace_back());
    // At ours something else may have been dropped meanwhile.
    if (found != -ETIMEDOUT && (found < 0 || found == last)) return found;
    last = found;
  }
  return -ETIMEDOUT;
}

#else

int group_size(int, const address&) noexcept { return -EOPNOTSUPP; }
int handshakes_at(const address&, std::vector<inet_name>&) noexcept { return -EOPNOTSUPP; }
int who_is_at(std::uint32_t, std::span<const int>, const address&,
              std::vector<std::uint16_t>&) noexcept {
  return -EOPNOTSUPP;
}

#endif

}  // namespace hinge
