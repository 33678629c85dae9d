// What a retirement promises, in words.
#include <hinge/retirement.hpp>

#include "fixed_text.hpp"

namespace hinge {

std::string_view guarantee_name(retire_guarantee which) noexcept {
  constexpr std::string_view names[] = {"held", "migrates", "steers", "puts_off", "empties"};
  return names[static_cast<std::size_t>(which)];
}

std::string retire_plan::text() const {
  fixed_text<160> said;
  const auto count = [&](std::uint32_t how_many, std::string_view what) -> text_writer& {
    return said.add(how_many, ' ', what, how_many == 1 ? "" : "s");
  };
  const auto served = [&] {
    queued ? count(*queued, "queued client") : said.add("queued clients");
    said.add(" will be served, ");
  };
  switch (guarantee) {
    case retire_guarantee::held:
      said.add("held by somebody else: who waits is served, later ones are his");
      break;
    case retire_guarantee::migrates:
      count(siblings, "sibling").add(" and tcp_migrate_req: no loss");
      break;
    case retire_guarantee::steers:
      count(siblings, "sibling").add(": no loss");
      break;
    case retire_guarantee::puts_off:
      said.add(siblings_known ? "no sibling: " : "siblings can't be known: ");
      served();
      said.add("later ones refused");
      break;
    case retire_guarantee::empties:
      served();
      said.add("who comes as it closes may be reset");
      break;
  }
  return std::string(said.view());
}

}  // namespace hinge
