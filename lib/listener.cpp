#include <hinge/listener.hpp>

#include "fixed_text.hpp"
#include "listener_options.hpp"
#include "listener_path.hpp"
#include "listener_queue.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

#include <hinge/socket.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>

namespace hinge {
namespace {

failure failed(const char* call, const address& at, int code) noexcept {
  std::array<char, address::text_capacity> room;
  return fail(call, at.text_into(room), -code);
}

failure refused(int fd, std::string_view why, int code) noexcept {
  return fail("adopt", fixed_text<96>().add("descriptor ", fd, why).view(), code);
}

int ask_number(int fd, int level, int option, int& into) noexcept {
  socklen_t length = sizeof into;
  return sys::getsockopt(fd, level, option, &into, &length);
}

result<void> set_flags(int fd) noexcept {
  const int flags = sys::fcntl(fd, F_GETFL, 0);
  int code = flags < 0 ? flags : stream_socket::set_flags(fd, flags);
  if (code < 0) return refused(fd, ": fcntl", -code);
  code = stream_socket::forbid_signal(fd);
  if (code < 0) return refused(fd, ": SO_NOSIGPIPE", -code);
  return {};
}

// What listen(2) has made of the asked backlog.
int backlog_in_force([[maybe_unused]] int fd, [[maybe_unused]] int asked,
                     [[maybe_unused]] bool tcp) noexcept {
#ifdef SO_LISTENQLIMIT  // FreeBSD
  int limit = 0;
  return ask_number(fd, SOL_SOCKET, SO_LISTENQLIMIT, limit) < 0 ? -1 : limit;
#else
#ifdef HINGE_HAVE_TCPI_SACKED  // Linux
  if (tcp) {
    tcp_info facts{};
    socklen_t length = sizeof facts;
    // Of a listening socket tcpi_sacked is the backlog (tcp_get_info in net/ipv4/tcp.c).
    if (sys::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &length) < 0) return -1;
    return static_cast<int>(facts.tcpi_sacked);
  }
#endif
  const int limit = tcp ? -1 : read_setting("/proc/sys/net/core/somaxconn");
  return limit < 0 ? -1 : std::min(asked, limit);
#endif
}

}  // namespace

result<listener> listener::open(const address& at, const listener_options& options) noexcept {
  const bool nameless = at.is_unix() && at.unix_name().empty();  // Linux would invent a name
  if (nameless || at.family() == family::none) return failed("listener::open", at, -EINVAL);
  if (const auto fine = check_options(options, at, listener_source::opened); !fine)
    return fail(fine.error());

  listener made;
  made.fd_.reset(sockets::open_stream(at.family()));
  if (!made.fd_) return failed("socket", at, made.fd());
  made.local_ = at;
  if (const auto set = apply_options(made.fd(), options, at, listener_source::opened); !set)
    return fail(set.error());
  if (at.family() == family::unix_path) {
    const auto bound = bind_path(made.fd(), at, options);
    if (!bound) return fail(bound.error());
    made.file_ = *bound;
  } else if (const int code = sockets::bind(made.fd(), at); code < 0) {
    return failed("bind", at, code);
  }
  if (const auto started = made.start(options); !started) return fail(started.error());
  return made;
}

result<address> listener::examine(int fd) noexcept {
  int type = 0;
  int listening = 0;
  if (const int code = ask_number(fd, SOL_SOCKET, SO_TYPE, type); code < 0)
    return refused(fd, "", -code);
  if (type != SOCK_STREAM) return refused(fd, " is no SOCK_STREAM", ESOCKTNOSUPPORT);
  const auto named = sockets::name_of(fd);
  if (!named) return fail(named.error());
  if (named->family() == family::none)
    return refused(fd, " is not IPv4, IPv6 or Unix", EAFNOSUPPORT);
  if (const int code = ask_number(fd, SOL_SOCKET, SO_ACCEPTCONN, listening); code < 0)
    return refused(fd, "", -code);
  if (listening == 0) return refused(fd, " does not listen", EINVAL);
  return *named;
}

result<address> listener::examine(int fd, const listener_options& options) noexcept {
  const auto named = examine(fd);
  if (!named) return named;
  if (const auto fine = check_options(options, *named, listener_source::adopted); !fine)
    return fail(fine.error());
  return named;
}

result<listener> listener::adopt(unique_fd& fd, const listener_options& options) noexcept {
  const auto named = examine(fd.get(), options);
  if (!named) return fail(named.error());
  if (const auto set = apply_options(fd.get(), options, *named, listener_source::adopted); !set)
    return fail(set.error());

  listener made;
  made.fd_ = std::move(fd);
  made.local_ = *named;
  auto started = made.start(options);
  if (started) started = set_flags(made.fd());
  if (started) return made;
  fd = std::move(made.fd_);
  return fail(started.error());
}

result<void> listener::start(const listener_options& options) noexcept {
  const int code = sys::listen(fd(), options.backlog);
  if (code < 0) return failed("listen", local_, code);
  auto named = sockets::name_of(fd());
  if (!named) return fail(named.error());
  local_ = *named;
  asked_backlog_ = options.backlog;
  effective_backlog_ = backlog_in_force(fd(), options.backlog, tcp());
  return {};
}

std::optional<std::uint32_t> listener::waiting() const noexcept {
  const int found = fd_ && tcp() ? waiting_on(fd()) : -EBADF;
  if (found < 0) return {};
  return static_cast<std::uint32_t>(found);
}

std::optional<std::uint32_t> listener::drops() const noexcept {
  const long found = fd_ && tcp() ? drops_at(fd()) : -EBADF;
  if (found < 0) return {};
  return static_cast<std::uint32_t>(found);
}

void listener::leave_path() noexcept {
  // While the descriptor is open its file's inode is not given to another one.
  if (file_ != path_identity{}) unlink_path(local_, std::exchange(file_, {}));
}

void listener::close() noexcept {
  leave_path();
  fd_.reset();
}

}  // namespace hinge
