#include "listener_options.hpp"

#include "fixed_text.hpp"
#include "sys.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <charconv>
#include <climits>
#include <string_view>

namespace hinge {
namespace {

constexpr int missing = -1;    // the system has no such option
constexpr int elsewhere = -2;  // no socket option: another call does it

#ifndef TCP_DEFER_ACCEPT
#define TCP_DEFER_ACCEPT missing
#endif
#ifndef TCP_FASTOPEN
#define TCP_FASTOPEN missing
#endif
#ifndef TCP_KEEPIDLE
#ifdef TCP_KEEPALIVE  // macOS
#define TCP_KEEPIDLE TCP_KEEPALIVE
#else
#define TCP_KEEPIDLE missing
#endif
#endif
#ifndef TCP_KEEPINTVL
#define TCP_KEEPINTVL missing
#endif
#ifndef TCP_KEEPCNT
#define TCP_KEEPCNT missing
#endif
#ifndef TCP_USER_TIMEOUT
#define TCP_USER_TIMEOUT missing
#endif
#ifndef SO_INCOMING_CPU
#define SO_INCOMING_CPU missing
#endif
#ifndef IP_FREEBIND
#define IP_FREEBIND missing
#endif
#ifndef SO_MARK
#define SO_MARK missing
#endif
#ifndef SO_BINDTODEVICE
#define SO_BINDTODEVICE missing
#endif
#ifdef SO_REUSEPORT_LB  // FreeBSD: SO_REUSEPORT shares the port there, and doesn't balance
#define HINGE_REUSE_PORT HINGE_OPTION(SOL_SOCKET, SO_REUSEPORT_LB)
#else
#define HINGE_REUSE_PORT HINGE_OPTION(SOL_SOCKET, SO_REUSEPORT)
#endif

enum class fits : std::uint8_t { all, tcp, ipv6, unix_path };
enum class acts : std::uint8_t { before_bind, always };

struct option_row {
  const char* field;     // of listener_options
  const char* constant;  // of the system
  int level;
  int option;
  fits where;
  acts when;
  std::int64_t value;
  bool asked = value != 0;
  std::int64_t largest = INT_MAX;
  std::string_view text = {};  // in place of the number; the value is its length then
};

// In the order in which they are set.
auto rows_of(const listener_options& wanted, const address& at, listener_source source) noexcept {
  using enum fits;
  using enum acts;
  const bool opened = source == listener_source::opened;
  const bool is_ipv6 = at.family() == family::ipv6;
  constexpr std::int64_t largest_word = UINT32_MAX;
  constexpr std::int64_t largest_id = UINT32_MAX - 1;  // the largest means "leave it" to chown(2)
#define HINGE_OPTION(level, constant) #constant, level, constant
  return std::to_array<option_row>({
      {"backlog", HINGE_OPTION(0, elsewhere), all, always, wanted.backlog},
      {"reuse_address", HINGE_OPTION(SOL_SOCKET, SO_REUSEADDR), tcp, before_bind, 1,
       wanted.reuse_address && opened && at.is_inet()},
      {"reuse_port", HINGE_REUSE_PORT, tcp, before_bind, wanted.reuse_port},
      {"v6_only", HINGE_OPTION(IPPROTO_IPV6, IPV6_V6ONLY), ipv6, before_bind, wanted.v6_only,
       wanted.v6_only || (is_ipv6 && opened)},
      {"defer_accept_s", HINGE_OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT), tcp, always,
       wanted.defer_accept_s},
      {"fast_open_queue", HINGE_OPTION(IPPROTO_TCP, TCP_FASTOPEN), tcp, always,
       wanted.fast_open_queue},
      {"no_delay", HINGE_OPTION(IPPROTO_TCP, TCP_NODELAY), tcp, always, wanted.no_delay},
      {"keepalive", HINGE_OPTION(SOL_SOCKET, SO_KEEPALIVE), tcp, always, wanted.keepalive},
      {"keepalive_idle_s", HINGE_OPTION(IPPROTO_TCP, TCP_KEEPIDLE), tcp, always,
       wanted.keepalive_idle_s},
      {"keepalive_interval_s", HINGE_OPTION(IPPROTO_TCP, TCP_KEEPINTVL), tcp, always,
       wanted.keepalive_interval_s},
      {"keepalive_count", HINGE_OPTION(IPPROTO_TCP, TCP_KEEPCNT), tcp, always,
       wanted.keepalive_count},
      {"user_timeout_ms", HINGE_OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT), tcp, always,
       wanted.user_timeout_ms},
      {"send_buffer_bytes", HINGE_OPTION(SOL_SOCKET, SO_SNDBUF), tcp, always,
       wanted.send_buffer_bytes},
      {"receive_buffer_bytes", HINGE_OPTION(SOL_SOCKET, SO_RCVBUF), tcp, always,
       wanted.receive_buffer_bytes},
      {"incoming_cpu", HINGE_OPTION(SOL_SOCKET, SO_INCOMING_CPU), tcp, always, wanted.incoming_cpu,
       wanted.incoming_cpu != -1},
      {"free_bind", HINGE_OPTION(IPPROTO_IP, IP_FREEBIND), tcp, before_bind, wanted.free_bind},
      {"mark", HINGE_OPTION(SOL_SOCKET, SO_MARK), tcp, always, wanted.mark, wanted.mark != 0,
       largest_word},
      {"bind_to_device", HINGE_OPTION(SOL_SOCKET, SO_BINDTODEVICE), tcp, always,
       static_cast<std::int64_t>(wanted.bind_to_device.size()), !wanted.bind_to_device.empty(),
       IFNAMSIZ - 1, wanted.bind_to_device},
      {"unix_mode", HINGE_OPTION(0, elsewhere), unix_path, before_bind,
       wanted.unix_mode.value_or(0), wanted.unix_mode.has_value(), 07777},
      {"unix_owner", HINGE_OPTION(0, elsewhere), unix_path, before_bind,
       wanted.unix_owner.value_or(0), wanted.unix_owner.has_value(), largest_id},
      {"unix_group", HINGE_OPTION(0, elsewhere), unix_path, before_bind,
       wanted.unix_group.value_or(0), wanted.unix_group.has_value(), largest_id},
      {"remove_stale_path", HINGE_OPTION(0, elsewhere), unix_path, before_bind,
       wanted.remove_stale_path},
  });
#undef HINGE_OPTION
}

bool fitting(fits where, const address& at) noexcept {
  switch (where) {
    case fits::all:
      return true;
    case fits::tcp:
      return at.is_inet();
    case fits::ipv6:
      return at.family() == family::ipv6;
    case fits::unix_path:
      break;
  }
  return at.family() == family::unix_path;
}

failure refuse(const char* call, const char* name, const option_row& row, const address& at,
               std::string_view remark, int code) noexcept {
  std::array<char, address::text_capacity> room;
  fixed_text<error::argument_capacity> argument;
  argument.add(name);
  if (!row.text.empty())
    argument.add('=', row.text);
  else if (row.where != fits::unix_path)  // modes are octal, and no value makes these fit
    argument.add('=', row.value);
  argument.add(" on ", at.text_into(room), remark);
  return fail(call, argument.view(), code);
}

int check_row(const option_row& row, const address& at, listener_source source) noexcept {
  if (row.option == missing || !fitting(row.where, at)) return EOPNOTSUPP;
  if (row.when == acts::before_bind && source == listener_source::adopted) return EINVAL;
  if (row.value < 0 || row.value > row.largest) return EINVAL;
  return 0;
}

}  // namespace

result<void> check_options(const listener_options& options, const address& at,
                           listener_source source) noexcept {
  const std::string_view whose = source == listener_source::adopted ? " (adopted)" : "";
  for (const option_row& row : rows_of(options, at, source)) {
    const int code = row.asked ? check_row(row, at, source) : 0;
    if (code != 0) return refuse("listener_options", row.field, row, at, whose, code);
    if (row.option != TCP_FASTOPEN || row.level != IPPROTO_TCP || !row.asked) continue;
    // The kernel takes the option, and does nothing, unless its servers' bit is set (ip-sysctl).
    const int allowed = read_setting("/proc/sys/net/ipv4/tcp_fastopen");
    if (allowed >= 0 && (allowed & 2) == 0)
      return refuse("listener_options", row.field, row, at, ": net.ipv4.tcp_fastopen lacks bit 2",
                    EOPNOTSUPP);
  }
  return {};
}

result<void> apply_options(int fd, const listener_options& options, const address& at,
                           listener_source source) noexcept {
  for (const option_row& row : rows_of(options, at, source)) {
    if (!row.asked || row.option == elsewhere) continue;
    const int number = static_cast<int>(row.value);
    const int code = row.text.empty()
                         ? sys::setsockopt(fd, row.level, row.option, &number, sizeof number)
                         : sys::setsockopt(fd, row.level, row.option, row.text.data(),
                                           static_cast<socklen_t>(row.text.size()));
    if (code < 0) return refuse("setsockopt", row.constant, row, at, "", -code);
  }
  return {};
}

namespace {

int is_set(int fd, int level, int option) noexcept {
  int value = 0;
  socklen_t length = sizeof value;
  const int code = sys::getsockopt(fd, level, option, &value, &length);
  return code < 0 ? code : value != 0;
}

}  // namespace

#define HINGE_OPTION(level, constant) level, constant
int shares_port(int fd) noexcept { return is_set(fd, HINGE_REUSE_PORT); }
#undef HINGE_OPTION
int takes_ipv6_alone(int fd) noexcept { return is_set(fd, IPPROTO_IPV6, IPV6_V6ONLY); }

int read_setting(const char* path) noexcept {
  const unique_fd file(sys::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return file.get();
  std::array<char, 32> text;
  const ssize_t length = sys::read(file.get(), text.data(), text.size());
  if (length < 0) return static_cast<int>(length);
  int number = 0;
  const auto read = std::from_chars(text.data(), text.data() + length, number);
  return read.ec == std::errc() && number >= 0 ? number : -EINVAL;
}

}  // namespace hinge
