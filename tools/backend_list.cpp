#include "backend_list.hpp"

#include <hinge/backend.hpp>

#include <span>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "backend_option.hpp"
#include "print_error.hpp"

namespace hinge {

backend_listing list_backends(const char* program) {
  backend_list preferred;
  try {
    preferred = backends_of_environment().value_or(preferred);
  } catch (const units::unit_error& wrong) {
    print_error("{}: {}\n", program, wrong.what());
  }
  std::vector<backend> all(preferred.begin(), preferred.end());
  all.push_back(backend::automatic);
  const backend_choice report = backend_report(std::span<const backend>(all));
  backend_choice choice;
  for (const backend_verdict& one : report.candidates().first(preferred.size())) choice.add(one);
  backend_listing listing;
  nlohmann::ordered_json shown = {{"chosen", nullptr}, {"reason", choice.text()}};
  if (choice.chosen() != backend::automatic) shown["chosen"] = backend_name(choice.chosen());
  for (const backend_verdict& one : report.candidates()) {
    listing.text += fmt::format("{:<8}{}\n", backend_name(one.which), one.line());
    shown["candidates"].push_back({{"name", backend_name(one.which)},
                                   {"built", one.built},
                                   {"usable", one.usable.has_value()},
                                   {"verdict", one.text()}});
  }
  listing.json = shown.dump() + "\n";
  return listing;
}

}  // namespace hinge
