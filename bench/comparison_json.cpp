#include <utility>

#include <nlohmann/json.hpp>

#include "comparison_report.hpp"
#include "json_parts.hpp"

namespace hinge::bench {

namespace {

using json = nlohmann::ordered_json;

json asked_json(const compare_options& asked) {
  json works = json::array();
  for (const server_work work : asked.works) works.push_back(name_of(work));
  return {{"names", asked.names},         {"works", std::move(works)},
          {"precision", asked.precision}, {"block", asked.block},
          {"waiting", asked.waiting},     {"gone", asked.gone},
          {"apart", asked.apart},         {"connections", asked.connections},
          {"seed", asked.seed},           {"rate", asked.rate > 0 ? json(asked.rate) : json()}};
}

/// Of all but the reference itself, which is in the control.
json figures_json(const comparison_report& shown, const comparison& of) {
  json all = json::array();
  for (std::size_t who = 1; who < of.found.size(); ++who) {
    for (std::size_t i = 0; i < of.figures.size(); ++i) {
      const compared_figure& one = of.found[who][i];
      all.push_back({{"candidate", row_name(shown, who)},
                     {"reference", row_name(shown, 0)},
                     {"control", who >= shown.asked.names.size()},
                     {"measure", of.figures[i]},
                     {"reference_median", of.found[0][i].median},
                     {"median", one.median},
                     {"ratio", one.ratio.median},
                     {"low", one.ratio.low},
                     {"high", one.ratio.high}});
    }
  }
  return all;
}

json counted_json(const comparison_report& shown, const comparison& of) {
  json all = json::array();
  for (std::size_t who = 0; who < of.counted.size(); ++who) {
    json one = {{"name", row_name(shown, who)}};
    json missing = json::object();
    for (std::size_t i = 0; i < counted_kinds; ++i) {
      const std::string kind(name_of(static_cast<counted>(i)));
      const count& found = of.counted[who][i];
      one[kind] = found.each ? json(*found.each) : json();
      if (!found.each) missing[kind] = found.missing;
    }
    one["missing"] = std::move(missing);
    all.push_back(std::move(one));
  }
  return all;
}

json comparison_json(const comparison_report& shown, const comparison& of) {
  const bool valid = of.flaws.empty();
  json figures = figures_json(shown, of);
  return {{"work", name_of(of.work)},
          {"way", of.way},
          {"own_network", of.own_network},
          {"rounds", of.rounds},
          {"verdict", verdict_json(of.flaws)},
          {"figures", valid ? figures : json()},
          {"void_figures", valid ? json() : figures},
          {"counted", counted_json(shown, of)},
          {"kernel", kernel_json(of.kernel)}};
}

}  // namespace

std::string to_json(const comparison_report& shown) {
  json all = {{"format", "hinge-bench-compare/1"}, {"valid", shown.valid()},
              {"interrupted", shown.interrupted},  {"asked", asked_json(shown.asked)},
              {"comparisons", json::array()},      {"environment", environment_json(shown.here)}};
  for (const comparison& one : shown.found)
    all["comparisons"].push_back(comparison_json(shown, one));
  return all.dump(2) + "\n";
}

}  // namespace hinge::bench
