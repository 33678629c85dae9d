// Lines of networks and addresses: "+NET" allows, "-NET" denies, "NET" asks. Each reads as it was
// written, and the rules say of an address what the longest of the networks that have it says.
#include <hinge/address_rules.hpp>
#include <hinge/network.hpp>

#include <algorithm>
#include <vector>

#include "fuzz/fuzz.hpp"

using hinge::address_rules;
using hinge::inet_name;
using hinge::network;
using hinge::fuzz::must;

namespace {

struct lines {
  std::vector<network> allowed;
  std::vector<network> denied;
  std::vector<inet_name> asked;
};

void read_line(std::string_view line, lines& into) {
  const char kind = line.empty() ? '?' : line.front();
  if (kind == '+' || kind == '-') {
    line.remove_prefix(1);
    const auto read = network::parse(line);
    if (!read) return must(!read.error().argument().empty(), "no reason");
    const std::string shown = read->text();
    const auto again = network::parse(shown);
    must(shown.size() <= network::text_capacity, "longer than the longest: " + shown);
    must(again.has_value() && *again == *read, "read as another one: " + shown);
    must(read->first() <= read->last(), "it ends before it begins: " + shown);
    (kind == '+' ? into.allowed : into.denied).push_back(*read);
  } else if (const auto read = hinge::address::parse(line); read && read->is_inet()) {
    into.asked.push_back(read->inet());
  }
}

/// The longest prefix decides; without one, whoever isn't allowed where somebody is.
bool permits(const lines& of, const inet_name& peer) {
  int longest = -1;
  bool allowed = of.allowed.empty();
  for (const auto* const list : {&of.denied, &of.allowed}) {
    for (const network& one : *list) {
      if (!one.contains(peer) || static_cast<int>(one.shared_bits()) <= longest) continue;
      longest = static_cast<int>(one.shared_bits());
      allowed = list == &of.allowed;
    }
  }
  return allowed;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = hinge::fuzz::text_of({data, size});
  lines all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    read_line(text.substr(0, end), all);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const auto rules = address_rules::make(all.allowed, all.denied);
  const bool contradicts =
      std::any_of(all.allowed.begin(), all.allowed.end(), [&](const network& one) {
        return std::find(all.denied.begin(), all.denied.end(), one) != all.denied.end();
      });
  must(rules.has_value() != contradicts, "refused without a contradiction, or taken with one");
  if (!rules) return 0;
  for (const inet_name& peer : all.asked)
    must(rules->permits(peer) == permits(all, peer),
         "not what the longest prefix says: " + hinge::address::from(peer).text());
  return 0;
}
