#include <hinge/inherited_listeners.hpp>

#include <hinge/socket.hpp>

#include "environment.hpp"
#include "fixed_text.hpp"
#include "listener_options.hpp"
#include "sys.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace hinge {
namespace {

constexpr int first_passed = 3;  // SD_LISTEN_FDS_START
constexpr std::string_view alone_mark = "alone";
constexpr const char* inheriting = "inherit listeners";

template <class... Parts>
failure refuse(int code, const Parts&... parts) noexcept {
  fixed_text<error::argument_capacity> text;
  return fail(inheriting, text.add(parts...).view(), code);
}

// The part before the next `end`, which is taken off with it.
std::string_view next_part(std::string_view& of, char end) noexcept {
  const std::size_t length = std::min(of.find(end), of.size());
  const std::string_view part = of.substr(0, length);
  of.remove_prefix(std::min(length + 1, of.size()));
  return part;
}

struct claim {
  int fd = -1;
  std::string name;
  bool held_elsewhere = true;
};
using claims = std::vector<claim>;

int descriptor_limit() noexcept {
  rlimit limit{};
  if (sys::getrlimit(RLIMIT_NOFILE, &limit) < 0) return INT32_MAX;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT32_MAX));
}

result<void> claim_of_systemd(const listener_variables& said, claims& all) noexcept {
  if (!said.listen_pid || !said.listen_fds) return {};
  const auto pid = number_of<std::uint32_t>(*said.listen_pid);
  if (!pid || *pid == 0) return refuse(EINVAL, "LISTEN_PID=", *said.listen_pid);
  if (*pid != static_cast<std::uint32_t>(sys::getpid())) return {};
  const auto count = number_of<std::uint32_t>(*said.listen_fds);
  if (!count) return refuse(EINVAL, "LISTEN_FDS=", *said.listen_fds);
  if (*count > static_cast<std::uint32_t>(std::max(descriptor_limit() - first_passed, 0)))
    return refuse(EINVAL, "LISTEN_FDS=", *count, ": over the limit of descriptors");
  for (std::uint32_t i = 0; i < *count; ++i)
    all.push_back({first_passed + static_cast<int>(i), "unknown"});
  if (!said.listen_fdnames) return {};
  std::string_view names = *said.listen_fdnames;
  const auto told = static_cast<std::size_t>(std::count(names.begin(), names.end(), ':')) +
                    static_cast<std::size_t>(!names.empty() || *count == 1);
  if (told != *count)
    return refuse(EINVAL, "LISTEN_FDNAMES: ", told, " names of ", *count, " descriptors");
  for (claim& one : all) {
    const std::string_view name = next_part(names, ':');
    if (!is_listener_name(name))
      return refuse(EINVAL, "LISTEN_FDNAMES: descriptor ", one.fd, " has a name that can't be one");
    one.name = name;
  }
  return {};
}

result<void> claim_of_variable(const listener_variables& said, claims& all) noexcept {
  if (!said.listeners) return {};
  std::string_view left = *said.listeners;
  const bool alone = left == alone_mark || left.starts_with(std::string(alone_mark) + ';');
  if (alone) next_part(left, ';');
  while (!left.empty()) {
    std::string_view name = next_part(left, ';');
    const std::string_view digits = next_part(name, '=');
    const auto number = number_of<std::uint32_t>(digits);
    if (!number || *number >= static_cast<std::uint32_t>(descriptor_limit()))
      return refuse(EINVAL, listeners_variable, ": '", digits, "' is no descriptor");
    const int fd = static_cast<int>(*number);
    if (fd < first_passed)
      return refuse(EINVAL, listeners_variable, ": ", fd, " is a standard descriptor");
    if (!is_listener_name(name))
      return refuse(EINVAL, listeners_variable, ": ", fd, " has a name that can't be one");
    if (std::any_of(all.begin(), all.end(), [&](const claim& one) { return one.fd == fd; }))
      return refuse(EINVAL, listeners_variable, ": ", fd, " is there twice");
    all.push_back({fd, std::string(name), !alone});
  }
  return {};
}

// Bound, and without connections.
result<address> examine_datagram(int fd) noexcept {
  const result<address> at = sockets::name_of(fd);
  if (!at) return at;
  const bool bound = at->is_inet() ? at->port() != 0 : !at->unix_name().empty();
  if (!bound) return refuse(EINVAL, "descriptor ", fd, ", of datagrams, is not bound");
  return at;
}

result<void> examine(given_listener& one) noexcept {
  const int fd = one.socket.get();
  int type = 0;
  socklen_t length = sizeof type;
  const int code = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
  one.datagram = code >= 0 && type == SOCK_DGRAM;
  const result<address> at = one.datagram ? examine_datagram(fd) : listener::examine(fd);
  if (!at) return refuse(at.error().code(), one.name, ": ", at.error().argument());
  one.local = *at;
  one.reuse_port = at->is_inet() && shares_port(fd) == 1;
  return {};
}

}  // namespace

listener_variables listener_variables::take() noexcept {
  return {.listen_pid = take_variable("LISTEN_PID"),
          .listen_fds = take_variable("LISTEN_FDS"),
          .listen_fdnames = take_variable("LISTEN_FDNAMES"),
          .listeners = take_variable(listeners_variable)};
}

result<std::vector<given_listener>> inherited_listeners(const listener_variables& said) noexcept {
  claims named;
  if (result<void> known = claim_of_systemd(said, named); !known) return fail(known);
  if (result<void> known = claim_of_variable(said, named); !known) return fail(known);
  std::vector<given_listener> all;
  result<void> open = {};
  for (claim& one : named) {
    const int code = sys::fcntl(one.fd, F_SETFD, FD_CLOEXEC);
    if (code >= 0) {
      all.push_back({.name = std::move(one.name),
                     .socket = unique_fd(one.fd),
                     .held_elsewhere = one.held_elsewhere});
    } else if (open) {
      open = refuse(-code, one.name, ": descriptor ", one.fd);
    }
  }
  if (!open) return fail(open);
  for (given_listener& one : all)
    if (result<void> fine = examine(one); !fine) return fail(fine);
  return all;
}

result<std::string> bequeath_listeners(std::span<const bequest> all, bool alone) noexcept {
  std::string value(alone ? alone_mark : "");
  for (const bequest& one : all) {
    if (!is_listener_name(one.name) || one.name.find(';') != one.name.npos)
      return fail("bequeath listeners", "a name that can't be one", EINVAL);
    const int code = sys::fcntl(one.fd, F_SETFD, 0);
    if (code < 0) return fail("bequeath listeners", one.name, -code);
    fixed_text<longest_listener_name + 16> entry;
    value += entry.add(value.empty() ? "" : ";", one.fd, '=', one.name).view();
  }
  return value;
}

}  // namespace hinge
