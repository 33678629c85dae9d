// Networks: what is read, what is refused, and who is in them.
#include <hinge/network.hpp>

#include <catch2/catch_test_macros.hpp>

#include "support/inet_name.hpp"

#include <string>
#include <string_view>

using hinge::inet_name;
using hinge::network;
using hinge::test::inet_name_of;

namespace {

network read(std::string_view text) {
  const auto made = network::parse(text);
  INFO(text);
  REQUIRE(made);
  return *made;
}

std::string why_refused(std::string_view text) {
  const auto made = network::parse(text);
  INFO(text);
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == EINVAL);
  CHECK(std::string_view(made.error().call()) == "parse network");
  return std::string(made.error().argument());
}

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
  CHECK(why_refused("") == "\"\": the address is missing, at character 1");
  CHECK(why_refused("/8") == "\"/8\": the address is missing, at character 1");
  CHECK(why_refused("10.0.0.0/") == "\"10.0.0.0/\": the prefix length is missing, at character 10");
  CHECK(why_refused("10.0.0.0/33") ==
        "\"10.0.0.0/33\": prefix length 33 is over 32, at character 10");
  CHECK(why_refused("::/129") == "\"::/129\": prefix length 129 is over 128, at character 4");
  CHECK(why_refused("10.0.0.0/08") ==
        "\"10.0.0.0/08\": prefix length 08 has a leading zero, at character 10");
  CHECK(why_refused("10.0.0.1/8") ==
        "\"10.0.0.1/8\": bits behind the prefix are set, at character 9");
  CHECK(why_refused("2001:db8::1/64") ==
        "\"2001:db8::1/64\": bits behind the prefix are set, at character 12");
  CHECK(why_refused("10.0.0/8") == "\"10.0.0/8\": an IPv4 address has four octets, at character 1");
  CHECK(why_refused("10.0.0.0/8/8") ==
        "\"10.0.0.0/8/8\": '/' does not belong in the prefix length, at character 11");
  CHECK(why_refused("10.0.0.0/-1") ==
        "\"10.0.0.0/-1\": '-' does not belong in the prefix length, at character 10");
  CHECK(why_refused("[::1]/128") ==
        "\"[::1]/128\": '[' does not belong in the IPv6 address, at character 1");
  CHECK(why_refused("fe80::1%eth0/64") ==
        "\"fe80::1%eth0/64\": '%' does not belong in the IPv6 address, at character 8");
  CHECK(why_refused("localhost") ==
        "\"localhost\": 'l' does not belong in the IPv4 address, at character 1");
  CHECK(why_refused("10.0.0.0:80/8").find("no IPv6 address") != std::string::npos);
}

TEST_CASE("who is in a network") {
  CHECK(read("10.0.0.0/8").contains(inet_name_of("10.255.255.255:1")));
  CHECK_FALSE(read("10.0.0.0/8").contains(inet_name_of("11.0.0.0:1")));
  CHECK_FALSE(read("10.0.0.0/8").contains(inet_name_of("9.255.255.255:1")));
  CHECK(read("0.0.0.0/0").contains(inet_name_of("9.255.255.255:1")));
  CHECK(read("2001:db8::/33").contains(inet_name_of("[2001:db8:7fff::1]:1")));
  CHECK_FALSE(read("2001:db8::/33").contains(inet_name_of("[2001:db8:8000::1]:1")));
  CHECK(read("fe80::/10").contains(inet_name_of("[fe80::1%1]:1")));
  SECTION("IPv4 through a dual-stack listener is IPv4") {
    CHECK(read("10.0.0.0/8").contains(inet_name_of("[::ffff:10.1.2.3]:1")));
    CHECK_FALSE(read("::/0").contains(inet_name_of("[::ffff:10.1.2.3]:1")));
    CHECK_FALSE(read("::/0").contains(inet_name_of("10.1.2.3:1")));
    CHECK_FALSE(read("0.0.0.0/0").contains(inet_name_of("[::1]:1")));
  }
  SECTION("nobody without an address") {
    const inet_name unnamed{.family = hinge::family::unix_unnamed};
    CHECK_FALSE(read("::/0").contains(unnamed));
    CHECK_FALSE(read("0.0.0.0/0").contains(unnamed));
  }
}
