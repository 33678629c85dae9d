#include <hinge/address.hpp>

#include "support/masked.hpp"

#include <catch2/catch_test_macros.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>

using hinge::address;
using hinge::family;
using hinge::inet_name;
using hinge::test::masked;
using hinge::test::need_linux;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

address parsed(std::string_view text) {
  const auto made = address::parse(text);
  INFO(text << (made ? ""s : " gives " + made.error().text()));
  REQUIRE(made);
  return *made;
}

std::string complaint(std::string_view text) {
  const auto made = address::parse(text);
  INFO(text);
  REQUIRE_FALSE(made);
  CHECK(made.error().call() == "parse address"s);
  CHECK(made.error().code() == EINVAL);
  return std::string(made.error().argument());
}

struct complaint_row {
  std::string_view text;
  std::string_view complaint;
};

void check_complaints(std::initializer_list<complaint_row> rows) {
  for (const complaint_row& row : rows) CHECK(complaint(row.text) == row.complaint);
}

// Through the kernel's form and back.
address round_trip(const address& from) {
  std::array<std::byte, address::kernel_capacity> room{};
  const std::size_t length = from.to_kernel(room);
  return address::from_kernel(reinterpret_cast<const sockaddr*>(room.data()), length);
}

address ipv6(std::initializer_list<unsigned> groups, std::uint32_t scope = 0) {
  inet_name name;
  name.family = family::ipv6;
  name.port = 7000;
  name.scope = scope;
  std::size_t at = 0;
  for (const unsigned group : groups) {
    name.ip[at++] = static_cast<std::uint8_t>(group >> 8);
    name.ip[at++] = static_cast<std::uint8_t>(group & 0xff);
  }
  return address::from(name);
}

}  // namespace

TEST_CASE("the named addresses") {
  CHECK(address().text() == "none");
  CHECK(address().family() == family::none);
  CHECK(address::loopback(7000).text() == "127.0.0.1:7000");
  CHECK(address::loopback6(7000).text() == "[::1]:7000");
  CHECK(address::any(7000).text() == "0.0.0.0:7000");
  CHECK(address::any6(65535).text() == "[::]:65535");
  CHECK(address::any6(65535).port() == 65535);
}

TEST_CASE("a bare port is loopback; every interface has to be spelled out") {
  CHECK(parsed("7000") == address::loopback(7000));
  CHECK(parsed("0") == address::loopback(0));
  CHECK(parsed("127.0.0.1:7000") == address::loopback(7000));
  CHECK(parsed("[::1]:7000") == address::loopback6(7000));
  CHECK(parsed("*:7000") == address::any(7000));
  CHECK(parsed("[*]:7000") == address::any6(7000));
  CHECK(parsed("0.0.0.0:7000") == address::any(7000));
  CHECK(parsed("[::]:7000") == address::any6(7000));
  CHECK(parsed("255.255.255.255:65535").text() == "255.255.255.255:65535");
}

TEST_CASE("IPv6 is shown as RFC 5952 says") {
  CHECK(parsed("[2001:DB8:0:0:0:0:0:1]:1").text() == "[2001:db8::1]:1");
  CHECK(parsed("[2001:0db8::0001]:1").text() == "[2001:db8::1]:1");
  CHECK(parsed("[2001:db8:0:1:1:1:1:1]:1").text() == "[2001:db8:0:1:1:1:1:1]:1");
  CHECK(parsed("[2001:0:0:1:0:0:0:1]:1").text() == "[2001:0:0:1::1]:1");
  CHECK(parsed("[2001:db8:0:0:1:0:0:1]:1").text() == "[2001:db8::1:0:0:1]:1");
  CHECK(parsed("[1:2:3:4:5:6:7:8]:1") != parsed("[1:2:3:4:5:6:7:9]:1"));
}

TEST_CASE("IPv4-mapped IPv6 stays IPv6") {
  const address mapped = parsed("[::ffff:192.0.2.1]:80");
  CHECK(mapped.family() == family::ipv6);
  CHECK(mapped.text() == "[::ffff:192.0.2.1]:80");
  CHECK(mapped == parsed("[::ffff:c000:201]:80"));
  CHECK(mapped != parsed("192.0.2.1:80"));
}

TEST_CASE("a scope shows its interface's name, or its number when there is none") {
  const unsigned loopback = if_nametoindex("lo");
  REQUIRE(loopback != 0);
  const address local = ipv6({0xfe80, 0, 0, 0, 0, 0, 0, 1}, loopback);
  CHECK(local.text() == "[fe80::1%lo]:7000");
  CHECK(parsed("[fe80::1%lo]:7000") == local);
  CHECK(parsed("[fe80::1%" + std::to_string(loopback) + "]:7000") == local);

  const address nowhere = ipv6({0xfe80, 0, 0, 0, 0, 0, 0, 1}, 4'000'000'000);
  CHECK(nowhere.text() == "[fe80::1%4000000000]:7000");
  CHECK(parsed(nowhere.text()) == nowhere);
}

TEST_CASE("Unix paths and abstract names") {
  need_linux();  // abstract names, and 107 bytes
  const address path = parsed("unix:/run/hinge.sock");
  CHECK(path.family() == family::unix_path);
  CHECK(path.unix_name() == "/run/hinge.sock");
  CHECK(path.text() == "unix:/run/hinge.sock");
  CHECK(path.port() == 0);

  const address abstract = parsed("unix:@hinge");
  CHECK(abstract.family() == family::unix_abstract);
  CHECK(abstract.unix_name() == "hinge");
  CHECK(abstract.text() == "unix:@hinge");

  CHECK(parsed("unix:relative").unix_name() == "relative");
  CHECK(parsed("unix:hinge") != parsed("unix:@hinge"));
  CHECK(parsed("unix:127.0.0.1:7000").unix_name() == "127.0.0.1:7000");
}

TEST_CASE("a Unix name of any bytes is one printable word, and is read back") {
  need_linux();  // abstract names, and 107 bytes
  CHECK(address::unix_path("/a b\\c\n\xc3\xa4\x7f")->text() ==
        R"(unix:/a\x20b\x5cc\x0a\xc3\xa4\x7f)");
  CHECK(parsed(R"(unix:/a\x20b\x5CC)").unix_name() == "/a b\\C");
  CHECK(parsed("unix:/a b\xc3\xa4").unix_name() == "/a b\xc3\xa4");
  CHECK(address::unix_path("@odd")->text() == R"(unix:\x40odd)");
  CHECK(parsed(R"(unix:\x40odd)") == *address::unix_path("@odd"));
  CHECK(address::unix_abstract("@odd")->text() == "unix:@@odd");
  CHECK(parsed("unix:@@odd") == *address::unix_abstract("@odd"));
  CHECK(address::unix_abstract("a\0b"sv)->text() == R"(unix:@a\x00b)");
  CHECK(parsed("unix:@a\0b"sv) == *address::unix_abstract("a\0b"sv));
}

TEST_CASE("a Unix name has 1 to 107 bytes") {
  need_linux();  // abstract names, and 107 bytes
  const std::string longest(address::unix_capacity, 'p');
  CHECK(address::unix_path(longest)->unix_name() == longest);
  CHECK(address::unix_abstract(longest)->unix_name() == longest);
  CHECK(parsed("unix:" + longest).unix_name() == longest);
  CHECK(parsed("unix:@" + longest).unix_name() == longest);

  CHECK(address::unix_path(longest + "p").error().code() == ENAMETOOLONG);
  CHECK(address::unix_abstract(longest + "p").error().code() == ENAMETOOLONG);
  CHECK(address::unix_path("").error().text() == "unix path (empty): EINVAL: Invalid argument");
  CHECK(address::unix_path("a\0b"sv).error().code() == EINVAL);
  CHECK(address::unix_abstract("").error().code() == EINVAL);
}

TEST_CASE("a text of the longest kind fits into text_capacity, and is cut to less room") {
  need_linux();  // abstract names, and 107 bytes
  const address widest = *address::unix_abstract(std::string(address::unix_capacity, '\x01'));
  CHECK(widest.text().size() == address::text_capacity);
  std::array<char, 10> room;
  CHECK(address::loopback(7000).text_into(room) == "127.0.0.1:");
}

TEST_CASE("what is wrong with a blank") {
  check_complaints({
      {"", R"("": the address is missing, at character 1)"},
      {" ", R"("\x20": '\x20' does not belong in the IPv4 address, at character 1)"},
      {" 7000", R"("\x207000": '\x20' does not belong in the IPv4 address, at character 1)"},
      {"7000 ", R"("7000\x20": '\x20' does not belong in the IPv4 address, at character 5)"},
  });
}

TEST_CASE("what is wrong with a port, and where") {
  check_complaints({
      {"70000", R"("70000": port 70000 is over 65535, at character 1)"},
      {"127.0.0.1:70000", R"("127.0.0.1:70000": port 70000 is over 65535, at character 11)"},
      {"127.0.0.1:99999999999999999999999", R"("127.0.0.1:99999999999999999999999": )"
                                            "port 9999999999999999 is over 65535, at character 11"},
      {"127.0.0.1", R"("127.0.0.1": the port is missing, as in :7000, at character 10)"},
      {"127.0.0.1:", R"("127.0.0.1:": the port is missing, at character 11)"},
      {"127.0.0.1:80x", R"("127.0.0.1:80x": 'x' does not belong in the port, at character 13)"},
      {"127.0.0.1:-1", R"("127.0.0.1:-1": '-' does not belong in the port, at character 11)"},
      {"127.0.0.1:80:90", R"("127.0.0.1:80:90": ':' does not belong in the port, at character 13)"},
      {"127.0.0.1:080", R"("127.0.0.1:080": port 080 has a leading zero, at character 11)"},
      {"00", R"("00": port 00 has a leading zero, at character 1)"},
      {"*", R"("*": the port is missing, as in :7000, at character 2)"},
      {"*7000", R"("*7000": a colon and the port must follow, at character 2)"},
      {":7000", R"(":7000": the address before the port is missing, at character 1)"},
  });
}

TEST_CASE("what is wrong with an IPv4 address, and where") {
  check_complaints({
      {"127.0.0.256:80", R"("127.0.0.256:80": octet 256 is over 255, at character 9)"},
      {"127.0.0.01:80", R"("127.0.0.01:80": octet 01 has a leading zero, at character 9)"},
      {"127..0.1:80", R"("127..0.1:80": the octet is missing, at character 5)"},
      {"127.0.0.:80", R"("127.0.0.:80": the octet is missing, at character 9)"},
      {"127.0.1:80", R"("127.0.1:80": an IPv4 address has four octets, at character 1)"},
      {"1.2.3.4.5:80", R"("1.2.3.4.5:80": an IPv4 address has four octets, at character 1)"},
      {"0x7f.0.0.1:80",
       R"("0x7f.0.0.1:80": 'x' does not belong in the IPv4 address, at character 2)"},
      {"127.0.0.1/8:80",
       R"("127.0.0.1/8:80": '/' does not belong in the IPv4 address, at character 10)"},
      {"7000x", R"("7000x": 'x' does not belong in the IPv4 address, at character 5)"},
  });
}

TEST_CASE("what is wrong with an IPv6 address, and where") {
  check_complaints({
      {"::1:7000",
       R"("::1:7000": an IPv6 address needs brackets, as in [::1]:7000, at character 1)"},
      {"fe80::1", R"("fe80::1": an IPv6 address needs brackets, as in [::1]:7000, at character 1)"},
      {"::", R"("::": an IPv6 address needs brackets, as in [::1]:7000, at character 1)"},
      {"::ffff:1.2.3.4:80",
       R"("::ffff:1.2.3.4:80": an IPv6 address needs brackets, as in [::1]:7000, at character 1)"},
      {"[::1:7000", R"("[::1:7000": the bracket is not closed, at character 1)"},
      {"[]:80", R"("[]:80": the IPv6 address is missing, at character 2)"},
      {"[::1]", R"("[::1]": the port is missing, as in :7000, at character 6)"},
      {"[::1]:", R"("[::1]:": the port is missing, at character 7)"},
      {"[::1]80", R"("[::1]80": a colon and the port must follow, at character 6)"},
      {"[::1]:80 ", R"("[::1]:80\x20": '\x20' does not belong in the port, at character 9)"},
      {"[::g]:80", R"("[::g]:80": 'g' does not belong in the IPv6 address, at character 4)"},
      {"[ ::1]:80",
       R"("[\x20::1]:80": '\x20' does not belong in the IPv6 address, at character 2)"},
      {"[::12345]:80", R"("[::12345]:80": a group has at most four digits, at character 4)"},
      {"[1::2::3]:80", R"("[1::2::3]:80": this is no IPv6 address, at character 2)"},
      {"[1:2:3]:80", R"("[1:2:3]:80": this is no IPv6 address, at character 2)"},
      {"[127.0.0.1]:80", R"("[127.0.0.1]:80": this is no IPv6 address, at character 2)"},
      {"[1111:1111:1111:1111:1111:1111:1111:1111:1111:1]:80",
       R"("[1111:1111:1111:1111:1111:1111:1111:1111:1111:1]:80": )"
       "this is too long for an IPv6 address, at character 2"},
      {"[**]:80", R"("[**]:80": '*' does not belong in the IPv6 address, at character 2)"},
      {"[fe80::1%]:80", R"("[fe80::1%]:80": the scope is missing, at character 10)"},
      {"[fe80::1%0]:80", R"("[fe80::1%0]:80": scope 0 is no interface, at character 10)"},
      {"[fe80::1%01]:80", R"("[fe80::1%01]:80": scope 01 has a leading zero, at character 10)"},
      {"[fe80::1%4294967296]:80",
       R"("[fe80::1%4294967296]:80": scope 4294967296 is over 4294967295, at character 10)"},
      {"[fe80::1%no-such-if]:80",
       R"("[fe80::1%no-such-if]:80": no interface has this name, at character 10)"},
      {"[fe80::1%name-over-the-limit]:80",
       R"("[fe80::1%name-over-the-limit]:80": no interface has this name, at character 10)"},
  });
}

TEST_CASE("what is wrong with a name, and where") {
  check_complaints({
      {"localhost:80",
       R"("localhost:80": this is a host name, and names are not looked up, at character 1)"},
      {"example", R"("example": this is a host name, and names are not looked up, at character 1)"},
      {"none", R"("none": this is a host name, and names are not looked up, at character 1)"},
      {"/run/x", R"("/run/x": a path is written unix:/path, at character 1)"},
      {"@name", R"("@name": an abstract name is written unix:@name, at character 1)"},
  });
}

TEST_CASE("what is wrong with a Unix name, and where") {
  need_linux();  // abstract names, and 107 bytes
  check_complaints({
      {"unix", R"("unix": this is a host name, and names are not looked up, at character 1)"},
      {"unix:", R"("unix:": the path is missing, at character 6)"},
      {"unix:@", R"("unix:@": the abstract name is missing, at character 7)"},
      {"unix:/a\0b"sv, R"("unix:/a\x00b": a path has no 0 byte, at character 8)"},
      {R"(unix:/a\x00b)", R"("unix:/a\x5cx00b": a path has no 0 byte, at character 8)"},
      {R"(unix:/a\b)", R"("unix:/a\x5cb": a backslash is written \x5c, at character 8)"},
      {R"(unix:/a\x4)", R"("unix:/a\x5cx4": a backslash is written \x5c, at character 8)"},
      {R"(unix:/a\xg0)", R"("unix:/a\x5cxg0": a backslash is written \x5c, at character 8)"},
  });
}

TEST_CASE("a long text is cut in the complaint") {
  need_linux();  // abstract names, and 107 bytes
  const std::string long_path(108, 'p');
  CHECK(complaint("unix:" + long_path) ==
        "\"unix:" + long_path.substr(0, 59) +
            "...\": a Unix socket's name has at most 107 bytes, at character 6");
  CHECK(complaint("unix:@" + long_path) ==
        "\"unix:@" + long_path.substr(0, 58) +
            "...\": a Unix socket's name has at most 107 bytes, at character 6");
}

TEST_CASE("a complaint names its place however long or odd the text is") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::string_view alphabet = "0123456789.:[]*%@/\\xunafe g\n\xff\0"sv;
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 200, ' ');
    for (char& one : text) one = alphabet[random() % alphabet.size()];
    if (random() % 4 == 0) text.insert(0, "unix:");
    const auto made = address::parse(text);
    if (made) {
      CHECK(parsed(made->text()) == *made);
      continue;
    }
    ++refused;
    const std::string_view argument = made.error().argument();
    const std::size_t place = argument.rfind(", at character ");
    CAPTURE(argument);
    REQUIRE(place != argument.npos);
    CHECK(std::stoul(std::string(argument.substr(place + 15))) <= text.size() + 1);
  }
  CHECK(refused > 0);
}

TEST_CASE("random addresses survive text and the kernel's form") {
  need_linux();  // abstract names, and 107 bytes
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto byte = [&] { return static_cast<std::uint8_t>(random() % 3 == 0 ? 0 : random()); };
  for (int round = 0; round < 20'000; ++round) {
    address made;
    const unsigned kind = random() % 4;
    if (kind < 2) {
      inet_name name;
      name.family = kind == 0 ? family::ipv4 : family::ipv6;
      for (std::size_t at = 0; at < (kind == 0 ? 4 : 16); ++at) name.ip[at] = byte();
      name.port = static_cast<std::uint16_t>(random());
      // From 1'000'000 on no interface has the number, and text() asks the kernel less.
      if (kind == 1 && random() % 8 == 0) name.scope = 1'000'000 + random() % 1'000'000;
      made = address::from(name);
    } else {
      std::string name(1 + random() % address::unix_capacity, ' ');
      for (char& one : name) one = static_cast<char>(kind == 2 ? 1 + random() % 255 : random());
      made = kind == 2 ? *address::unix_path(name) : *address::unix_abstract(name);
    }
    const std::string text = made.text();
    INFO(text);
    CHECK(parsed(text) == made);
    CHECK(round_trip(made) == made);
    CHECK(text.find_first_of(" \t\r\n\0"s) == text.npos);
    if (made.is_inet()) CHECK(address::from(made.inet()) == made);
  }
}

TEST_CASE("the kernel's form is what the kernel wants") {
  need_linux();  // abstract names, and 107 bytes
  alignas(sockaddr_storage) std::array<std::byte, address::kernel_capacity> room{};
  const auto& in = *reinterpret_cast<const sockaddr_in*>(room.data());
  CHECK(address::loopback(7000).to_kernel(room) == sizeof(sockaddr_in));
  CHECK(in.sin_family == AF_INET);
  CHECK(in.sin_port == htons(7000));
  CHECK(in.sin_addr.s_addr == htonl(INADDR_LOOPBACK));

  const auto& in6 = *reinterpret_cast<const sockaddr_in6*>(room.data());
  CHECK(ipv6({0xfe80, 0, 0, 0, 0, 0, 0, 1}, 3).to_kernel(room) == sizeof(sockaddr_in6));
  CHECK(in6.sin6_family == AF_INET6);
  CHECK(in6.sin6_scope_id == 3);
  CHECK(in6.sin6_addr.s6_addr[15] == 1);

  const auto& un = *reinterpret_cast<const sockaddr_un*>(room.data());
  CHECK(address::unix_path("/x")->to_kernel(room) == path_offset + 3);
  CHECK(un.sun_family == AF_UNIX);
  CHECK(std::memcmp(un.sun_path, "/x", 3) == 0);
  CHECK(address::unix_abstract("x")->to_kernel(room) == path_offset + 2);
  CHECK(std::memcmp(un.sun_path, "\0x", 2) == 0);
  CHECK(address().to_kernel(room) == 0);
}

TEST_CASE("what the kernel gives back, short and odd forms too") {
  need_linux();  // abstract names, and 107 bytes
  CHECK(address::from_kernel(nullptr, 0).family() == family::none);

  sockaddr_storage storage{};  // the kernel's lengths reach one byte beyond sockaddr_un
  auto& un = reinterpret_cast<sockaddr_un&>(storage);
  un.sun_family = AF_UNIX;
  const auto* name = reinterpret_cast<const sockaddr*>(&storage);
  CHECK(address::from_kernel(name, sizeof(sa_family_t)).family() == family::unix_unnamed);
  CHECK(address::from_kernel(name, sizeof(sa_family_t)).text() == "unix:");
  std::strcpy(un.sun_path, "/x");
  CHECK(address::from_kernel(name, path_offset + 3).text() == "unix:/x");
  CHECK(address::from_kernel(name, path_offset + 2).text() == "unix:/x");
  CHECK(address::from_kernel(name, sizeof un).text() == "unix:/x");
  std::memset(un.sun_path, 'p', sizeof un.sun_path);
  CHECK(address::from_kernel(name, sizeof un).unix_name() == std::string(107, 'p'));
  CHECK(address::from_kernel(name, sizeof un + 1).unix_name() == std::string(107, 'p'));
  un.sun_path[0] = '\0';
  CHECK(address::from_kernel(name, path_offset + 1).family() == family::unix_abstract);
  CHECK(round_trip(address::from_kernel(name, path_offset + 1)).family() == family::unix_abstract);

  sockaddr_in in{};
  in.sin_family = AF_INET;
  const auto* short_name = reinterpret_cast<const sockaddr*>(&in);
  CHECK(address::from_kernel(short_name, sizeof in).text() == "0.0.0.0:0");
  CHECK(address::from_kernel(short_name, sizeof in - 1).family() == family::none);
  in.sin_family = AF_APPLETALK;
  CHECK(address::from_kernel(short_name, sizeof in).family() == family::none);
}

TEST_CASE("loopback is what only this machine reaches") {
  need_linux();  // abstract names, and 107 bytes
  CHECK(parsed("127.255.0.1:1").is_loopback());
  CHECK(parsed("[::1]:1").is_loopback());
  CHECK(parsed("[::ffff:127.0.0.1]:1").is_loopback());
  CHECK(parsed("unix:/x").is_loopback());
  CHECK(parsed("unix:@x").is_loopback());
  CHECK_FALSE(parsed("*:1").is_loopback());
  CHECK_FALSE(parsed("[*]:1").is_loopback());
  CHECK_FALSE(parsed("128.0.0.1:1").is_loopback());
  CHECK_FALSE(parsed("[::ffff:128.0.0.1]:1").is_loopback());
  CHECK_FALSE(parsed("[::2]:1").is_loopback());
  CHECK_FALSE(parsed("[::127.0.0.1]:1").is_loopback());
  CHECK_FALSE(address().is_loopback());
}

TEST_CASE("addresses compare by content") {
  CHECK(address::loopback(1) != address::loopback(2));
  CHECK(address::loopback(1) != address::loopback6(1));
  CHECK(parsed("unix:/a") != parsed("unix:/b"));
  CHECK(ipv6({1}, 1) != ipv6({1}, 2));
  CHECK(address() == address());
}

TEST_CASE("where a system has no abstract names and shorter paths, both are refused") {
  if (!masked) SKIP("this is Linux");
  const std::string longest(103, 'p');
  CHECK(parsed("unix:" + longest).unix_name() == longest);
  CHECK(address::unix_path(longest + "p").error().code() == ENAMETOOLONG);
  CHECK(complaint("unix:" + longest + "p")
            .ends_with("a Unix socket's name has at most 103 bytes, at character 6"));
  CHECK(address::unix_abstract("x").error().text() ==
        "unix abstract name x: EAFNOSUPPORT: Address family not supported by protocol");
  CHECK(complaint("unix:@x") == "\"unix:@x\": this system has no abstract names, at character 6");
  const sockaddr nobody{.sa_family = AF_UNIX, .sa_data = {}};  // as a BSD gives it
  CHECK(address::from_kernel(&nobody, sizeof nobody).family() == family::unix_unnamed);
}
