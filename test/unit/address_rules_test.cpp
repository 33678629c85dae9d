// Allowed and denied networks: the longest prefix decides, as one that is asked in turn would.
#include <hinge/address_rules.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using hinge::address;
using hinge::address_rules;
using hinge::inet_name;
using hinge::network;

namespace {

std::vector<network> networks(std::initializer_list<const char*> texts) {
  std::vector<network> read;
  for (const char* const text : texts) read.push_back(*network::parse(text));
  return read;
}

address_rules made(std::initializer_list<const char*> allow,
                   std::initializer_list<const char*> deny) {
  auto rules = address_rules::make(networks(allow), networks(deny));
  REQUIRE(rules);
  return std::move(*rules);
}

bool permits(const address_rules& rules, const char* peer) {
  const bool ipv6 = std::string_view(peer).find(':') != std::string_view::npos;
  const std::string text = ipv6 ? "[" + std::string(peer) + "]:1" : std::string(peer) + ":1";
  return rules.permits(address::parse(text)->inet());
}

}  // namespace

TEST_CASE("without rules everybody is permitted") {
  CHECK(address_rules().empty());
  CHECK(permits(address_rules(), "10.0.0.1"));
  CHECK(permits(made({}, {}), "::1"));
  CHECK(made({}, {}).empty());
}

TEST_CASE("who is denied, and all others aren't") {
  const address_rules rules = made({}, {"10.0.0.0/8", "2001:db8::/32"});
  CHECK_FALSE(rules.empty());
  CHECK_FALSE(permits(rules, "10.0.0.0"));
  CHECK_FALSE(permits(rules, "10.255.255.255"));
  CHECK(permits(rules, "9.255.255.255"));
  CHECK(permits(rules, "11.0.0.0"));
  CHECK_FALSE(permits(rules, "2001:db8::1"));
  CHECK(permits(rules, "2001:db9::"));
  CHECK(permits(rules, "::1"));
}

TEST_CASE("who is allowed, and nobody else") {
  const address_rules rules = made({"127.0.0.0/8"}, {});
  CHECK(permits(rules, "127.0.0.1"));
  CHECK(permits(rules, "::ffff:127.0.0.1"));
  CHECK_FALSE(permits(rules, "128.0.0.0"));
  CHECK_FALSE(permits(rules, "::1"));
  CHECK(rules.permits({.family = hinge::family::unix_unnamed}));
}

TEST_CASE("the longest prefix decides") {
  const address_rules rules =
      made({"10.1.0.0/16", "10.1.2.3", "::/0"}, {"10.0.0.0/8", "10.1.2.0/24", "0.0.0.0/0"});
  CHECK_FALSE(permits(rules, "10.0.0.1"));
  CHECK(permits(rules, "10.1.0.0"));
  CHECK_FALSE(permits(rules, "10.1.2.2"));
  CHECK(permits(rules, "10.1.2.3"));
  CHECK_FALSE(permits(rules, "10.1.2.4"));
  CHECK(permits(rules, "10.1.3.0"));
  CHECK_FALSE(permits(rules, "10.2.0.0"));
  CHECK_FALSE(permits(rules, "255.255.255.255"));
  CHECK(permits(rules, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  CHECK(permits(rules, "::"));
}

TEST_CASE("rules that contradict one another are refused, by name") {
  const auto both =
      address_rules::make(networks({"10.0.0.0/8"}), networks({"::/0", "::ffff:10.0.0.0/104"}));
  REQUIRE_FALSE(both);
  CHECK(both.error().code() == EINVAL);
  CHECK(both.error().argument() == "10.0.0.0/8: both allowed and denied");
  // The same twice is no contradiction.
  const address_rules rules = made({"10.0.0.0/8", "10.0.0.0/8"}, {"0.0.0.0/0"});
  CHECK(permits(rules, "10.0.0.1"));
  CHECK_FALSE(permits(rules, "11.0.0.1"));
}

TEST_CASE("random rules decide as when asked one by one") {
  std::mt19937 random(4711);
  const auto below = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
  unsigned denied = 0;
  for (int round = 0; round < 200; ++round) {
    struct rule {
      network of;
      bool permitted;
    };
    std::vector<rule> rules;
    std::vector<network> lists[2];
    for (unsigned i = below(12); i != 0; --i) {
      // Close together, so that they lie in one another.
      const unsigned bits = 24 + below(9);
      const unsigned host = below(256) & ~((1U << (32 - bits)) - 1);
      const network one =
          *network::parse("10.0.0." + std::to_string(host) + "/" + std::to_string(bits));
      const bool permitted = below(2) == 0;
      bool known = false;
      for (const rule& other : rules) known = known || other.of == one;
      if (known) continue;
      rules.push_back({one, permitted});
      lists[permitted].push_back(one);
    }
    const auto judge = address_rules::make(lists[true], lists[false]);
    REQUIRE(judge);
    for (unsigned host = 0; host < 256; ++host) {
      const inet_name peer = address::parse("10.0.0." + std::to_string(host) + ":1")->inet();
      bool expected = lists[true].empty();
      int longest = -1;
      for (const rule& one : rules) {
        if (!one.of.contains(peer) || static_cast<int>(one.of.shared_bits()) < longest) continue;
        longest = static_cast<int>(one.of.shared_bits());
        expected = one.permitted;
      }
      if (judge->permits(peer) != expected) FAIL("round " << round << ", host " << host);
      denied += !expected;
    }
  }
  CHECK(denied > 1000);
}
