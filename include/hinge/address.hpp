// Socket addresses as values: IPv4, IPv6, Unix paths and Linux abstract names.
#pragma once

#include <hinge/error.hpp>
#include <hinge/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct sockaddr;  // <sys/socket.h>; kernel headers stay out of include/

namespace hinge {

enum class family : std::uint8_t { none, ipv4, ipv6, unix_path, unix_abstract, unix_unnamed };

/// The compact form of an Internet address, as tables store it for each connection: 24 bytes.
/// Unix peers keep their family alone. `ip` is in network order, IPv4 in its first four bytes;
/// `port` is in host order.
struct inet_name {
  std::array<std::uint8_t, 16> ip{};
  std::uint32_t scope = 0;
  std::uint16_t port = 0;
  hinge::family family = hinge::family::none;
  std::uint8_t reserved = 0;

  friend bool operator==(const inet_name&, const inet_name&) noexcept = default;
};
static_assert(sizeof(inet_name) == 24);

/// An address to listen on, connect to, or show. A value of 132 bytes; compares by content. Nothing
/// here enters the kernel, but for the names of interfaces behind a `%`.
class address {
public:
  static constexpr std::size_t unix_capacity = 107;  ///< of Linux, the longest (unix(7)); BSD: 103
  static constexpr std::size_t kernel_capacity = 128;                  ///< sizeof(sockaddr_storage)
  static constexpr std::size_t text_capacity = 6 + 4 * unix_capacity;  ///< the longest text()

  /// No address: family::none.
  address() noexcept = default;

  /// 127.0.0.1:port. Only this machine reaches it.
  HINGE_API static address loopback(std::uint16_t port) noexcept;
  /// [::1]:port.
  HINGE_API static address loopback6(std::uint16_t port) noexcept;
  /// 0.0.0.0:port: every IPv4 interface. Exposing a port is a decision: it has to be spelled out.
  HINGE_API static address any(std::uint16_t port) noexcept;
  /// [::]:port; IPv4 too, unless listener_options::v6_only says otherwise.
  HINGE_API static address any6(std::uint16_t port) noexcept;
  /// A Unix socket in the file system. EINVAL: empty or with a 0 byte; ENAMETOOLONG: over
  /// what the system takes.
  HINGE_API static result<address> unix_path(std::string_view path) noexcept;
  /// A Linux abstract name, without the leading 0 byte that the kernel sees; may hold any bytes.
  /// EINVAL: empty (as a rule a variable that was not set); ENAMETOOLONG: over unix_capacity;
  /// EAFNOSUPPORT: the system has no such names.
  HINGE_API static result<address> unix_abstract(std::string_view name) noexcept;
  /// Back from the compact form. A Unix family comes back without its name.
  HINGE_API static address from(const inet_name& name) noexcept;

  /// Reads exactly these forms; anything else is EINVAL with what is wrong and at which character,
  /// counted in bytes from 1:
  ///   7000  127.0.0.1:7000  [::1]:7000  [fe80::1%eth0]:7000  *:7000  [*]:7000  unix:/path
  ///   unix:@name
  /// A bare port is loopback. `*` is any(), `[*]` is any6(). Host names are not looked up. A number
  /// with a leading zero is refused, since some read it as octal. A scope is an interface's name or
  /// its index. IPv4-mapped IPv6 stays IPv6. In a Unix name \xNN stands for the byte NN, and every
  /// other byte but a backslash for itself; a path that starts with @ is written unix:\x40.
  HINGE_API static result<address> parse(std::string_view text) noexcept;

  /// From what the kernel filled in; a length of 0, or of the family alone, is unix_unnamed or
  /// none, and so is a family that hinge doesn't know. Of a path without room for its terminating 0
  /// (108 bytes, unix(7), "BUGS") the last byte is lost.
  HINGE_API static address from_kernel(const sockaddr* from, std::size_t length) noexcept;
  /// Writes the kernel's form to `into` (at least kernel_capacity bytes); returns its length, 0 for
  /// family::none.
  HINGE_API std::size_t to_kernel(std::span<std::byte> into) const noexcept;

  hinge::family family() const noexcept { return name_.family; }
  bool is_inet() const noexcept {
    return name_.family == hinge::family::ipv4 || name_.family == hinge::family::ipv6;
  }
  bool is_unix() const noexcept { return name_.family >= hinge::family::unix_path; }
  /// 127.0.0.0/8 (also as IPv4-mapped IPv6), ::1, or a Unix socket: only this machine reaches it.
  HINGE_API bool is_loopback() const noexcept;
  std::uint16_t port() const noexcept { return name_.port; }
  /// The compact form; for Unix addresses the family alone.
  const inet_name& inet() const noexcept { return name_; }
  /// The path or abstract name; empty for others.
  std::string_view unix_name() const noexcept { return {unix_name_.data(), unix_length_}; }

  /// What parse() reads, in one word: "127.0.0.1:7000", "[::1]:7000" (RFC 5952), "unix:/path",
  /// "unix:@name", with blanks, backslashes and what is not printable ASCII in a Unix name as \xNN.
  /// A scope shows the interface's name, or its index when that has none. And what parse() refuses:
  /// "unix:" unnamed, "none" no address.
  HINGE_API std::string text() const;
  /// The same without allocating: writes to `room`, cut to its size; text_capacity is enough.
  HINGE_API std::string_view text_into(std::span<char> room) const noexcept;

  friend HINGE_API bool operator==(const address&, const address&) noexcept;

private:
  static address unix_named(hinge::family family, std::string_view name) noexcept;

  inet_name name_{};
  std::uint8_t unix_length_ = 0;
  std::array<char, unix_capacity> unix_name_{};
};

}  // namespace hinge
