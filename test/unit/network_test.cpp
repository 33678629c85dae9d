// Networks: what is read, what is refused, and who is in them.
#include <hinge/network.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using hinge::address;
using hinge::inet_name;
using hinge::network;

namespace {

network read(std::string_view text) {
  const auto made = network::parse(text);
  INFO(text);
  REQUIRE(made);
  return *made;
}

std::string complaint(std::string_view text) {
  const auto made = network::parse(text);
  INFO(text);
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == EINVAL);
  CHECK(std::string_view(made.error().call()) == "parse network");
  return std::string(made.error().argument());
}

inet_name peer(std::string_view text) { return address::parse(text)->inet(); }

}  // namespace

TEST_CASE("a network is read, and shown as it is read") {
  for (const char* const text :
       {"10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "255.255.255.255/32", "::/0", "2001:db8::/32",
        "::1/128", "fe80::/10", "2001:db8:0:1::/64", "::/64"})
    CHECK(read(text).text() == text);
  CHECK(read("10.1.2.3").text() == "10.1.2.3/32");
  CHECK(read("::1").text() == "::1/128");
  CHECK(read("2001:DB8:0:0::/32").text() == "2001:db8::/32");
  CHECK(network().text() == "::/0");
  CHECK(network::of_ipv4().text() == "0.0.0.0/0");
}

TEST_CASE("an IPv4-mapped network is one of IPv4") {
  CHECK(read("::ffff:10.0.0.0/104") == read("10.0.0.0/8"));
  CHECK(read("::ffff:0:0/96") == network::of_ipv4());
  CHECK(read("::ffff:10.0.0.1").text() == "10.0.0.1/32");
}

TEST_CASE("what is no network is refused, with the place") {
  CHECK(complaint("") == "\"\": the address is missing, at character 1");
  CHECK(complaint("/8") == "\"/8\": the address is missing, at character 1");
  CHECK(complaint("10.0.0.0/") == "\"10.0.0.0/\": the prefix length is missing, at character 10");
  CHECK(complaint("10.0.0.0/33") ==
        "\"10.0.0.0/33\": prefix length 33 is over 32, at character 10");
  CHECK(complaint("::/129") == "\"::/129\": prefix length 129 is over 128, at character 4");
  CHECK(complaint("10.0.0.0/08") ==
        "\"10.0.0.0/08\": prefix length 08 has a leading zero, at character 10");
  CHECK(complaint("10.0.0.1/8") ==
        "\"10.0.0.1/8\": bits behind the prefix are set, at character 9");
  CHECK(complaint("2001:db8::1/64") ==
        "\"2001:db8::1/64\": bits behind the prefix are set, at character 12");
  CHECK(complaint("10.0.0/8") == "\"10.0.0/8\": an IPv4 address has four octets, at character 1");
  CHECK(complaint("10.0.0.0/8/8") ==
        "\"10.0.0.0/8/8\": '/' does not belong in the prefix length, at character 11");
  CHECK(complaint("10.0.0.0/-1") ==
        "\"10.0.0.0/-1\": '-' does not belong in the prefix length, at character 10");
  CHECK(complaint("[::1]/128") ==
        "\"[::1]/128\": '[' does not belong in the IPv6 address, at character 1");
  CHECK(complaint("fe80::1%eth0/64") ==
        "\"fe80::1%eth0/64\": '%' does not belong in the IPv6 address, at character 8");
  CHECK(complaint("localhost") ==
        "\"localhost\": 'l' does not belong in the IPv4 address, at character 1");
  CHECK(complaint("10.0.0.0:80/8").find("no IPv6 address") != std::string::npos);
}

TEST_CASE("who is in a network") {
  CHECK(read("10.0.0.0/8").contains(peer("10.255.255.255:1")));
  CHECK_FALSE(read("10.0.0.0/8").contains(peer("11.0.0.0:1")));
  CHECK_FALSE(read("10.0.0.0/8").contains(peer("9.255.255.255:1")));
  CHECK(read("0.0.0.0/0").contains(peer("9.255.255.255:1")));
  CHECK(read("2001:db8::/33").contains(peer("[2001:db8:7fff::1]:1")));
  CHECK_FALSE(read("2001:db8::/33").contains(peer("[2001:db8:8000::1]:1")));
  CHECK(read("fe80::/10").contains(peer("[fe80::1%1]:1")));
  SECTION("IPv4 through a dual-stack listener is IPv4") {
    CHECK(read("10.0.0.0/8").contains(peer("[::ffff:10.1.2.3]:1")));
    CHECK_FALSE(read("::/0").contains(peer("[::ffff:10.1.2.3]:1")));
    CHECK_FALSE(read("::/0").contains(peer("10.1.2.3:1")));
    CHECK_FALSE(read("0.0.0.0/0").contains(peer("[::1]:1")));
  }
  SECTION("nobody without an address") {
    const inet_name unnamed{.family = hinge::family::unix_unnamed};
    CHECK_FALSE(read("::/0").contains(unnamed));
    CHECK_FALSE(read("0.0.0.0/0").contains(unnamed));
  }
}
