#include <hinge/address.hpp>

#include "fixed_text.hpp"
#include "sys.hpp"
#include "unix_names.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace hinge {

static_assert(sizeof(sockaddr_storage) == address::kernel_capacity);
static_assert(sizeof(address) == 132);

namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

inet_name ipv4(std::array<std::uint8_t, 4> ip, std::uint16_t port) noexcept {
  inet_name made;
  std::copy(ip.begin(), ip.end(), made.ip.begin());
  made.port = port;
  made.family = family::ipv4;
  return made;
}

inet_name ipv6(std::uint8_t last, std::uint16_t port) noexcept {
  inet_name made;
  made.ip.back() = last;
  made.port = port;
  made.family = family::ipv6;
  return made;
}

// A name that parse() takes for the same interface: not a number, and made of what may stand there.
bool readable_interface(std::string_view name) noexcept {
  const auto plain = [](char one) { return one > ' ' && one < '\x7f' && one != ']'; };
  const auto digit = [](char one) { return one >= '0' && one <= '9'; };
  return std::all_of(name.begin(), name.end(), plain) &&
         !std::all_of(name.begin(), name.end(), digit);
}

void add_scope(text_writer& out, std::uint32_t scope) noexcept {
  std::array<char, IF_NAMESIZE> name;
  if (scope == 0) return;
  if (sys::if_indextoname(scope, name.data()) != nullptr && readable_interface(name.data()))
    out.add('%', name.data());
  else
    out.add('%', scope);
}

void add_inet(text_writer& out, const inet_name& name) noexcept {
  std::array<char, INET6_ADDRSTRLEN> ip;
  if (name.family == family::ipv4) {
    out.add(inet_ntop(AF_INET, name.ip.data(), ip.data(), ip.size()));
  } else {
    out.add('[', inet_ntop(AF_INET6, name.ip.data(), ip.data(), ip.size()));
    add_scope(out, name.scope);
    out.add(']');
  }
  out.add(':', name.port);
}

}  // namespace

address address::loopback(std::uint16_t port) noexcept { return from(ipv4({127, 0, 0, 1}, port)); }
address address::loopback6(std::uint16_t port) noexcept { return from(ipv6(1, port)); }
address address::any(std::uint16_t port) noexcept { return from(ipv4({}, port)); }
address address::any6(std::uint16_t port) noexcept { return from(ipv6(0, port)); }

address address::from(const inet_name& name) noexcept {
  address made;
  made.name_ = name;
  return made;
}

address address::unix_named(hinge::family family, std::string_view name) noexcept {
  address made;
  made.name_.family = family;
  made.unix_length_ = static_cast<std::uint8_t>(std::min(name.size(), unix_capacity));
  std::copy_n(name.data(), made.unix_length_, made.unix_name_.data());
  return made;
}

result<address> address::unix_path(std::string_view path) noexcept {
  if (path.empty()) return fail("unix path", "(empty)", EINVAL);
  if (path.find('\0') != path.npos) return fail("unix path with a 0 byte", path, EINVAL);
  if (path.size() > longest_unix_name) return fail("unix path", path, ENAMETOOLONG);
  return unix_named(hinge::family::unix_path, path);
}

result<address> address::unix_abstract(std::string_view name) noexcept {
  if (name.empty()) return fail("unix abstract name", "(empty)", EINVAL);
  if (!has_abstract_names) return fail("unix abstract name", name, EAFNOSUPPORT);
  if (name.size() > longest_unix_name) return fail("unix abstract name", name, ENAMETOOLONG);
  return unix_named(hinge::family::unix_abstract, name);
}

address address::from_kernel(const sockaddr* from, std::size_t length) noexcept {
  address made;
  if (length < offsetof(sockaddr, sa_family) + sizeof(sa_family_t)) return made;
  sockaddr_storage storage{};
  std::memcpy(&storage, from, std::min(length, sizeof storage));
  if (storage.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
    const auto& name = reinterpret_cast<const sockaddr_in&>(storage);
    std::memcpy(made.name_.ip.data(), &name.sin_addr, sizeof name.sin_addr);
    made.name_.port = ntohs(name.sin_port);
    made.name_.family = hinge::family::ipv4;
  } else if (storage.ss_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    const auto& name = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(made.name_.ip.data(), &name.sin6_addr, sizeof name.sin6_addr);
    made.name_.port = ntohs(name.sin6_port);
    made.name_.scope = name.sin6_scope_id;
    made.name_.family = hinge::family::ipv6;
  } else if (storage.ss_family == AF_UNIX) {
    const char* path = reinterpret_cast<const char*>(&storage) + path_offset;
    if (length <= path_offset) return unix_named(hinge::family::unix_unnamed, {});
    const std::size_t bytes = std::min(length, sizeof(sockaddr_un)) - path_offset;
    if (path[0] == '\0') {
      // A BSD gives 0 bytes for no name.
      if (!has_abstract_names) return unix_named(hinge::family::unix_unnamed, {});
      return unix_named(hinge::family::unix_abstract, {path + 1, bytes - 1});
    }
    return unix_named(hinge::family::unix_path, {path, strnlen(path, bytes)});
  }
  return made;
}

std::size_t address::to_kernel(std::span<std::byte> into) const noexcept {
  assert(into.size() >= kernel_capacity);
  const auto put = [&](const auto& name, std::size_t length) {
    std::memcpy(into.data(), &name, length);
    return length;
  };
  if (name_.family == hinge::family::ipv4) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(name_.port);
    std::memcpy(&name.sin_addr, name_.ip.data(), sizeof name.sin_addr);
    return put(name, sizeof name);
  }
  if (name_.family == hinge::family::ipv6) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(name_.port);
    name.sin6_scope_id = name_.scope;
    std::memcpy(&name.sin6_addr, name_.ip.data(), sizeof name.sin6_addr);
    return put(name, sizeof name);
  }
  if (!is_unix()) return 0;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const bool abstract = name_.family == hinge::family::unix_abstract;
  std::copy_n(unix_name_.data(), unix_length_, name.sun_path + (abstract ? 1 : 0));
  if (unix_length_ == 0 && !abstract) return put(name, path_offset);
  // A path counts its terminating 0, an abstract name its leading one (unix(7)).
  return put(name, path_offset + unix_length_ + 1);
}

bool address::is_loopback() const noexcept {
  static constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (name_.family == hinge::family::ipv4) return name_.ip[0] == 127;
  if (name_.family != hinge::family::ipv6) return is_unix();
  if (std::equal(mapped.begin(), mapped.end(), name_.ip.begin())) return name_.ip[12] == 127;
  return name_.ip == ipv6(1, 0).ip;
}

std::string_view address::text_into(std::span<char> room) const noexcept {
  text_writer out(room);
  switch (name_.family) {
    case hinge::family::none:
      return out.add("none").view();
    case hinge::family::ipv4:
    case hinge::family::ipv6:
      add_inet(out, name_);
      return out.view();
    case hinge::family::unix_path: {
      out.add("unix:");
      const bool at = unix_name().starts_with('@');  // as it stands it would name an abstract one
      if (at) out.add("\\x40");
      return add_escaped(out, unix_name().substr(at ? 1 : 0)).view();
    }
    case hinge::family::unix_abstract:
      return add_escaped(out.add("unix:@"), unix_name()).view();
    case hinge::family::unix_unnamed:
      break;
  }
  return out.add("unix:").view();
}

std::string address::text() const {
  std::array<char, text_capacity> room;
  return std::string(text_into(room));
}

bool operator==(const address& left, const address& right) noexcept {
  return left.name_ == right.name_ && left.unix_name() == right.unix_name();
}

}  // namespace hinge
