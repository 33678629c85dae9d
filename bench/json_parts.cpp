#include "json_parts.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace hinge::bench {

using json = nlohmann::ordered_json;

json verdict_json(const std::vector<finding>& flaws) {
  json all = json::array();
  for (const finding& one : flaws)
    all.push_back({{"kind", name_of(one.what)}, {"reason", one.reason}});
  return {{"valid", flaws.empty()}, {"flaws", std::move(all)}};
}

json kernel_json(const kernel_counts& counts) {
  json all = json::object();
  for (std::size_t i = 0; i < kernel_counters; ++i) {
    const auto which = static_cast<kernel_counter>(i);
    all[std::string(name_of(which))] = counts[which];
  }
  return all;
}

json environment_json(const environment& here) {
  json all = json::object();
  for (const auto& [name, value] : here) all[name] = value;
  return all;
}

}  // namespace hinge::bench
