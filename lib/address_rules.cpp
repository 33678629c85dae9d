#include <hinge/address_rules.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <tuple>

#include "fixed_text.hpp"

namespace hinge {
namespace {

struct rule {
  network of;
  bool permitted;
  bool asked;  // false: stands for whom no rule names
};

/// Whatever contains another network stands before it.
bool stands_before(const rule& a, const rule& b) noexcept {
  return std::tuple(a.of.first(), a.of.shared_bits(), a.asked) <
         std::tuple(b.of.first(), b.of.shared_bits(), b.asked);
}

/// The number behind the last one of a network; nothing when there is none.
std::optional<ip_number> behind(const network& of) noexcept {
  ip_number next = of.last();
  if (++next.low == 0 && ++next.high == 0) return {};
  return next;
}

}  // namespace

void address_rules::add(ip_number first, bool permitted) noexcept {
  if (count_ != 0 && ranges_[count_ - 1].first == first) --count_;
  if (count_ != 0 && ranges_[count_ - 1].permitted == permitted) return;
  ranges_[count_++] = {first, permitted};
}

result<address_rules> address_rules::make(std::span<const network> allow,
                                          std::span<const network> deny) noexcept {
  address_rules made;
  const std::size_t count = allow.size() + deny.size() + 2;
  raw_array<rule> rules;
  if (!rules.open(count) || !made.ranges_.open(2 * count))
    return fail("make address rules", "memory", ENOMEM);
  rule* end = rules.data();
  *end++ = {network(), allow.empty(), false};
  *end++ = {network::of_ipv4(), allow.empty(), false};
  for (const network& one : allow) *end++ = {one, true, true};
  for (const network& one : deny) *end++ = {one, false, true};
  std::sort(rules.data(), end, stands_before);

  // Networks lie in one another or apart: those that the one before the sweep lies in are a stack.
  std::array<const rule*, 129> around;
  std::size_t depth = 0;
  const auto leave = [&] {
    const std::optional<ip_number> next = behind(around[--depth]->of);
    if (next) made.add(*next, around[depth - 1]->permitted);
  };
  for (const rule* one = rules.data(); one != end; ++one) {
    while (depth != 0 && around[depth - 1]->of.last() < one->of.first()) leave();
    if (depth != 0 && around[depth - 1]->of == one->of) {
      const rule& same = *around[--depth];
      if (same.asked && same.permitted != one->permitted) {
        fixed_text<error::argument_capacity> why;
        return fail("make address rules",
                    why.add(one->of.text(), ": both allowed and denied").view(), EINVAL);
      }
    }
    around[depth++] = one;
    made.add(one->of.first(), one->permitted);
  }
  while (depth > 1) leave();
  if (made.count_ == 1 && made.ranges_[0].permitted) made.count_ = 0;
  return made;
}

bool address_rules::permits(const inet_name& peer) const noexcept {
  if (empty()) return true;
  const std::optional<ip_number> number = ip_number_of(peer);
  if (!number) return true;
  const range* const begin = ranges_.data();
  const auto before = [](const ip_number& asked, const range& one) { return asked < one.first; };
  return std::upper_bound(begin, begin + count_, *number, before)[-1].permitted;
}

}  // namespace hinge
