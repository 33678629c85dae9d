#include <hinge/address.hpp>
#include <hinge/network.hpp>

#include "fixed_text.hpp"
#include "ip_prefix.hpp"
#include "sys.hpp"
#include "unix_names.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <utility>

namespace hinge {
namespace {

constexpr std::size_t quoted_capacity = 64;   // of the text, in a complaint
constexpr std::size_t excerpt_capacity = 16;  // of a part of it

constexpr bool is_digit(char one) noexcept { return one >= '0' && one <= '9'; }
constexpr bool is_letter(char one) noexcept {
  return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z');
}
constexpr int hex_value(char one) noexcept {
  if (is_digit(one)) return one - '0';
  if (one >= 'a' && one <= 'f') return one - 'a' + 10;
  if (one >= 'A' && one <= 'F') return one - 'A' + 10;
  return -1;
}
constexpr bool is_hex(char one) noexcept { return hex_value(one) >= 0; }
bool all_of(std::string_view text, bool (*is)(char) noexcept) noexcept {
  return std::all_of(text.begin(), text.end(), is);
}

// Reads one text. Each function reads the part between two indices of it and returns whether that
// was right; the first complaint stands in reason_.
class parser {
public:
  /// `call` is for the complaint.
  parser(const char* call, std::string_view text) noexcept : call_(call), text_(text) {}

  result<address> run() noexcept {
    if (read()) return made_;
    return fail(reason_);
  }
  /// A name, and how many of the 128 bits of its number count.
  result<std::pair<inet_name, unsigned>> run_network() noexcept {
    std::uint32_t bits = 0;
    if (read_network(bits)) return std::pair(name_, bits);
    return fail(reason_);
  }

private:
  bool read() noexcept;
  bool read_network(std::uint32_t& bits) noexcept;
  bool read_plain() noexcept;
  bool read_bracketed() noexcept;
  bool read_unix(std::size_t begin) noexcept;
  bool read_port(std::size_t colon) noexcept;
  bool read_port_number(std::size_t begin) noexcept;
  bool read_ipv4(std::size_t end) noexcept;
  bool read_ipv6(std::size_t begin, std::size_t end) noexcept;
  bool read_scope(std::size_t begin, std::size_t end) noexcept;
  bool read_number(std::size_t begin, std::size_t end, std::string_view what, std::uint32_t largest,
                   std::uint32_t& into) noexcept;

  std::string_view part(std::size_t begin, std::size_t end) const noexcept {
    return text_.substr(begin, end - begin);
  }
  std::string_view excerpt(std::size_t begin, std::size_t end) const noexcept {
    return part(begin, std::min(end, begin + excerpt_capacity));
  }

  bool misplaced(std::size_t index, std::string_view where) noexcept {
    fixed_text<4> one;
    return wrong(index, '\'', add_escaped(one, text_.substr(index, 1)).view(),
                 "' does not belong in the ", where);
  }

  // Complains about the text at an index; false, so that it can be returned.
  template <class... Parts>
  bool wrong(std::size_t index, const Parts&... parts) noexcept {
    fixed_text<4 * (quoted_capacity + 1)> escaped;
    const std::string_view quoted =
        add_escaped(escaped, text_.substr(0, quoted_capacity + 1)).view();
    fixed_text<error::argument_capacity> complaint;
    complaint.add('"', quoted.substr(0, quoted_capacity),
                  quoted.size() > quoted_capacity ? "...\": " : "\": ", parts..., ", at character ",
                  index + 1);
    reason_ = error(call_, complaint.view(), EINVAL);
    return false;
  }

  const char* call_;
  std::string_view text_;
  inet_name name_;
  address made_;
  error reason_;
};

bool parser::read() noexcept {
  if (text_.empty()) return wrong(0, "the address is missing");
  if (text_.starts_with("unix:")) return read_unix(5);
  if (text_[0] == '[') return read_bracketed();
  if (text_[0] == '*') {
    name_ = address::any(0).inet();
    return read_port(1);
  }
  if (all_of(text_, is_digit)) {
    name_ = address::loopback(0).inet();
    return read_port_number(0);
  }
  return read_plain();
}

bool parser::read_network(std::uint32_t& bits) noexcept {
  const std::size_t slash = std::min(text_.find('/'), text_.size());
  const bool is_ipv6 = part(0, slash).find(':') != text_.npos;
  if (slash == 0) return wrong(0, "the address is missing");
  name_.family = is_ipv6 ? family::ipv6 : family::ipv4;
  if (!(is_ipv6 ? read_ipv6(0, slash) : read_ipv4(slash))) return false;
  const std::uint32_t longest = is_ipv6 ? 128 : 32;
  bits = longest;
  if (slash < text_.size() && !read_number(slash + 1, text_.size(), "prefix length", longest, bits))
    return false;
  if (!is_ipv6) bits += 128 - longest;
  const ip_number whole = *ip_number_of(name_);
  if (first_of(whole, bits) == whole) return true;
  return wrong(slash, "bits behind the prefix are set");
}

// What begins with neither a mark nor is a bare port: IPv4, or one of the usual mistakes.
bool parser::read_plain() noexcept {
  const std::size_t end = std::min(text_.find(':'), text_.size());
  const std::string_view host = part(0, end);
  if (std::count(text_.begin(), text_.end(), ':') > 1 && all_of(host, is_hex))
    return wrong(0, "an IPv6 address needs brackets, as in [::1]:7000");
  if (host.empty()) return wrong(0, "the address before the port is missing");
  if (host[0] == '/') return wrong(0, "a path is written unix:/path");
  if (host[0] == '@') return wrong(0, "an abstract name is written unix:@name");
  if (is_letter(host[0])) return wrong(0, "this is a host name, and names are not looked up");
  name_.family = family::ipv4;
  return read_ipv4(end) && read_port(end);
}

bool parser::read_bracketed() noexcept {
  const std::size_t close = text_.find(']');
  if (close == text_.npos) return wrong(0, "the bracket is not closed");
  name_.family = family::ipv6;
  if (part(1, close) == "*") return read_port(close + 1);
  const std::size_t percent = std::min(text_.find('%'), close);
  if (!read_ipv6(1, percent)) return false;
  if (percent < close && !read_scope(percent + 1, close)) return false;
  return read_port(close + 1);
}

bool parser::read_port(std::size_t colon) noexcept {
  if (colon == text_.size()) return wrong(colon, "the port is missing, as in :7000");
  if (text_[colon] != ':') return wrong(colon, "a colon and the port must follow");
  return read_port_number(colon + 1);
}

bool parser::read_port_number(std::size_t begin) noexcept {
  std::uint32_t port = 0;
  if (!read_number(begin, text_.size(), "port", 65535, port)) return false;
  name_.port = static_cast<std::uint16_t>(port);
  made_ = address::from(name_);
  return true;
}

bool parser::read_number(std::size_t begin, std::size_t end, std::string_view what,
                         std::uint32_t largest, std::uint32_t& into) noexcept {
  if (begin == end) return wrong(begin, "the ", what, " is missing");
  std::uint64_t value = 0;
  for (std::size_t index = begin; index < end; ++index) {
    if (!is_digit(text_[index])) return misplaced(index, what);
    value = value * 10 + static_cast<unsigned>(text_[index] - '0');
    value = std::min(value, std::uint64_t{1} << 32);  // over every limit
  }
  if (value > largest) return wrong(begin, what, ' ', excerpt(begin, end), " is over ", largest);
  if (text_[begin] == '0' && end - begin > 1)
    return wrong(begin, what, ' ', excerpt(begin, end), " has a leading zero");
  into = static_cast<std::uint32_t>(value);
  return true;
}

bool parser::read_ipv4(std::size_t end) noexcept {
  const std::string_view host = part(0, end);
  const std::size_t strange = host.find_first_not_of("0123456789.");
  if (strange != host.npos) return misplaced(strange, "IPv4 address");
  if (std::count(host.begin(), host.end(), '.') != 3)
    return wrong(0, "an IPv4 address has four octets");
  std::size_t begin = 0;
  for (std::size_t octet = 0; octet < 4; ++octet) {
    const std::size_t dot = std::min(text_.find('.', begin), end);
    std::uint32_t value = 0;
    if (!read_number(begin, dot, "octet", 255, value)) return false;
    name_.ip[octet] = static_cast<std::uint8_t>(value);
    begin = dot + 1;
  }
  return true;
}

bool parser::read_ipv6(std::size_t begin, std::size_t end) noexcept {
  const std::string_view ip = part(begin, end);
  if (ip.empty()) return wrong(begin, "the IPv6 address is missing");
  std::size_t digits = 0;
  for (std::size_t index = begin; index < end; ++index) {
    digits = is_hex(text_[index]) ? digits + 1 : 0;
    if (digits == 0 && text_[index] != ':' && text_[index] != '.')
      return misplaced(index, "IPv6 address");
    if (digits > 4) return wrong(index - 4, "a group has at most four digits");
  }
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (ip.size() >= copy.size()) return wrong(begin, "this is too long for an IPv6 address");
  std::copy(ip.begin(), ip.end(), copy.begin());
  if (inet_pton(AF_INET6, copy.data(), name_.ip.data()) == 1) return true;
  return wrong(begin, "this is no IPv6 address");
}

bool parser::read_scope(std::size_t begin, std::size_t end) noexcept {
  const std::string_view scope = part(begin, end);
  if (scope == "0") return wrong(begin, "scope 0 is no interface");
  if (all_of(scope, is_digit)) return read_number(begin, end, "scope", UINT32_MAX, name_.scope);
  std::array<char, IF_NAMESIZE> copy{};
  if (scope.size() < copy.size() && scope.find('\0') == scope.npos) {
    std::copy(scope.begin(), scope.end(), copy.begin());
    name_.scope = sys::if_nametoindex(copy.data());
  }
  return name_.scope != 0 || wrong(begin, "no interface has this name");
}

bool parser::read_unix(std::size_t begin) noexcept {
  const bool abstract = text_.substr(begin).starts_with('@');
  if (abstract && !has_abstract_names) return wrong(begin, "this system has no abstract names");
  std::array<char, longest_unix_name> name;
  std::size_t length = 0;
  for (std::size_t index = begin + abstract; index < text_.size(); ++index, ++length) {
    const std::size_t start = index;
    char byte = text_[index];
    if (byte == '\\') {
      if (text_.size() - index < 4 || text_[index + 1] != 'x' || !is_hex(text_[index + 2]) ||
          !is_hex(text_[index + 3]))
        return wrong(index, "a backslash is written \\x5c");
      byte = static_cast<char>(hex_value(text_[index + 2]) * 16 + hex_value(text_[index + 3]));
      index += 3;
    }
    if (byte == '\0' && !abstract) return wrong(start, "a path has no 0 byte");
    if (length == name.size())
      return wrong(begin, "a Unix socket's name has at most ", name.size(), " bytes");
    name[length] = byte;
  }
  if (length == 0)
    return wrong(text_.size(), abstract ? "the abstract name is missing" : "the path is missing");
  const std::string_view made(name.data(), length);
  made_ = *(abstract ? address::unix_abstract(made) : address::unix_path(made));
  return true;
}

}  // namespace

result<address> address::parse(std::string_view text) noexcept {
  return parser("parse address", text).run();
}

result<network> network::parse(std::string_view text) noexcept {
  const auto read = parser("parse network", text).run_network();
  if (!read) return fail(read);
  network made;
  made.first_ = *ip_number_of(read->first);
  made.bits_ = static_cast<std::uint8_t>(read->second);
  return made;
}

}  // namespace hinge
