// A listening stream socket: options in, a bound and listening descriptor out, or an error that
// names the call, the address and the option. Nothing asked for is dropped silently.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/fd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace hinge {

/// How a listener is opened or adopted. 0, false, empty or absent: not asked for, the system's
/// default stays. What is asked for and can't be had fails and names the option: EOPNOTSUPP where
/// the system or the kind of socket has no such thing, EINVAL for a value that can't be or for what
/// acts before bind(2) on an adopted socket (marked "at open").
///
/// The kernel copies a TCP listener's socket options to what it accepts, so that they cost no call
/// per connection (tcp(7); measured on Linux 6.18). Unless a line says otherwise an option is for
/// TCP, and for every system.
struct listener_options {
  /// Connections that may wait to be accepted; TCP and Unix. Linux cuts it silently to
  /// net.core.somaxconn: listener::effective_backlog() tells.
  int backlog = 4096;
  /// SO_REUSEADDR, at open: bind although old connections of the port are in TIME_WAIT. On Unix
  /// sockets it means nothing and isn't set.
  bool reuse_address = true;
  /// SO_REUSEPORT (FreeBSD: SO_REUSEPORT_LB), at open: several sockets share the port, if all of
  /// them ask. Linux and FreeBSD spread new connections over them, other systems take the option
  /// and don't. Two programs can share a port by accident: hence off.
  bool reuse_port = false;
  /// IPV6_V6ONLY, at open, for IPv6: false takes IPv4 too (as ::ffff:a.b.c.d), whatever the
  /// system's default is; OpenBSD refuses false.
  bool v6_only = false;
  /// TCP_DEFER_ACCEPT, Linux: a connection is accepted when its first bytes are there, or after
  /// about this time (the kernel counts in retransmissions: 1, 3, 7, 15, ... seconds).
  int defer_accept_s = 0;
  /// TCP_FASTOPEN: connections whose first bytes came with the SYN that may wait for the
  /// handshake's end. On Linux net.ipv4.tcp_fastopen needs bit 2 (it is off by default): without
  /// it, EOPNOTSUPP.
  int fast_open_queue = 0;
  /// TCP_NODELAY: small segments leave at once instead of waiting for the peer's acknowledgement.
  bool no_delay = false;
  /// SO_KEEPALIVE: probe silent peers.
  bool keepalive = false;
  /// TCP_KEEPIDLE (macOS: TCP_KEEPALIVE), TCP_KEEPINTVL, TCP_KEEPCNT: silence before the first
  /// probe, time between probes, unanswered probes that end the connection. Also for connections
  /// that switch keepalive on later.
  int keepalive_idle_s = 0;
  int keepalive_interval_s = 0;
  int keepalive_count = 0;
  /// TCP_USER_TIMEOUT, Linux: how long sent bytes may stay unacknowledged before the connection
  /// ends.
  int user_timeout_ms = 0;
  /// SO_SNDBUF, SO_RCVBUF: fixed sizes in place of the kernel's own tuning. Linux doubles the
  /// number and cuts it silently to net.core.wmem_max, rmem_max. Not for Unix: accepted sockets
  /// don't inherit them.
  int send_buffer_bytes = 0;
  int receive_buffer_bytes = 0;
  /// SO_INCOMING_CPU, Linux: of several listeners with reuse_port, prefer this one for packets
  /// handled on that CPU (since 6.2; before, the number only shows). -1: none.
  int incoming_cpu = -1;
  /// IP_FREEBIND, Linux, at open: bind an address that no interface has yet; IPv4 and IPv6.
  bool free_bind = false;
  /// SO_MARK, Linux: a number on every packet, for routing and filters. Needs CAP_NET_ADMIN.
  std::uint32_t mark = 0;
  /// SO_BINDTODEVICE, Linux: take connections from this interface alone. At most 15 bytes.
  std::string bind_to_device = {};
  /// For Unix paths, at open: permissions (as in 0660; the umask has no say), owner and group by
  /// number, set between bind and listen: nobody can connect before.
  std::optional<unsigned> unix_mode = {};
  std::optional<std::uint32_t> unix_owner = {};
  std::optional<std::uint32_t> unix_group = {};
  /// For Unix paths, at open: when the path is taken, remove it if it is a socket and nobody's any
  /// more, as the connect(2) of a datagram socket tells (a living server sees nothing of it). A
  /// socket in use is EADDRINUSE, anything but a socket ENOTSOCK, and both stay. Two servers that
  /// start at the same moment may take the path from each other.
  bool remove_stale_path = false;
};

/// Which file stands behind a path; all 0: none.
struct path_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  friend bool operator==(const path_identity&, const path_identity&) noexcept = default;
};

/// Owns a listening descriptor, non-blocking and closed on exec, and the path that it made for it.
/// Not thread-safe; the descriptor itself is.
class listener {
public:
  /// Holds nothing; fd() is -1.
  listener() noexcept = default;
  listener(listener&& other) noexcept { take(other); }
  listener& operator=(listener&& other) noexcept {
    if (this != &other) {
      close();
      take(other);
    }
    return *this;
  }
  ~listener() { close(); }

  /// Binds and listens. On failure nothing is left behind: no descriptor, no path.
  HINGE_API static result<listener> open(const address& at,
                                         const listener_options& options = {}) noexcept;

  /// Takes over a descriptor that listens already (from a supervisor or a predecessor). It has to
  /// be a socket (ENOTSOCK), of SOCK_STREAM (ESOCKTNOSUPPORT), IPv4, IPv6 or Unix (EAFNOSUPPORT),
  /// and listening (EINVAL). Applies the options, with listen(2) again for the backlog, then
  /// O_NONBLOCK (which everybody sees who shares the socket) and FD_CLOEXEC. On success `fd` is
  /// empty. On failure the caller keeps it, untouched when a check has failed; otherwise the
  /// options before the one that the error names are in force.
  HINGE_API static result<listener> adopt(unique_fd& fd,
                                          const listener_options& options = {}) noexcept;

  /// The checks of adopt() alone, which touch nothing: where it listens, or why it can't be
  /// adopted, or not with these options.
  HINGE_API static result<address> examine(int fd) noexcept;
  HINGE_API static result<address> examine(int fd, const listener_options& options) noexcept;

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return bool(fd_); }
  /// Where it listens; an asked port 0 is the real one here.
  const address& local() const noexcept { return local_; }
  /// TCP rather than a Unix socket.
  bool tcp() const noexcept { return local_.is_inet(); }

  /// listener_options::backlog, and what the kernel made of it when listen(2) was called:
  /// TCP_INFO's word on Linux, for Unix sockets the smaller of asked and net.core.somaxconn;
  /// SO_LISTENQLIMIT's on FreeBSD; -1 where it isn't known.
  int asked_backlog() const noexcept { return asked_backlog_; }
  int effective_backlog() const noexcept { return effective_backlog_; }

  /// Connections that wait to be accepted now (TCP_INFO), and what the kernel has dropped here so
  /// far because that queue was full (SO_MEMINFO; modulo 2^32). Linux, of TCP, without privileges:
  /// absent elsewhere, and of an empty listener. A system call each.
  HINGE_API std::optional<std::uint32_t> waiting() const noexcept;
  HINGE_API std::optional<std::uint32_t> drops() const noexcept;

  /// The file of a Unix path that close() unlinks: made by open(), or taken over.
  const path_identity& path_file() const noexcept { return file_; }
  /// Another process's file is this one's from now on.
  void set_path_file(const path_identity& file) noexcept { file_ = file; }

  /// Closes the descriptor; what waits in its queue is reset, unless somebody else has the same
  /// socket. A path whose file is its own is unlinked if it still is the same file: what somebody
  /// else has put there stays, and so does the path after a change of directory if it was relative.
  /// Without effect on an empty listener.
  HINGE_API void close() noexcept;

  /// Unlinks the path, as close() would later.
  HINGE_API void leave_path() noexcept;
  /// close() leaves the path where it is.
  void keep_path() noexcept { file_ = {}; }

  /// Gives the descriptor away, open; the path stays. Also what a forked child calls, so that it
  /// doesn't unlink its parent's path.
  [[nodiscard]] int release() noexcept {
    keep_path();
    return fd_.release();
  }

private:
  result<void> start(const listener_options& options) noexcept;
  void take(listener& other) noexcept {
    fd_ = std::move(other.fd_);
    local_ = other.local_;
    asked_backlog_ = other.asked_backlog_;
    effective_backlog_ = other.effective_backlog_;
    file_ = std::exchange(other.file_, {});
  }

  unique_fd fd_;
  address local_;
  int asked_backlog_ = -1;
  int effective_backlog_ = -1;
  path_identity file_;
};

}  // namespace hinge
