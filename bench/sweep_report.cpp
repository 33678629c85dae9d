#include "sweep_report.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report_fields.hpp"
#include "report_json.hpp"

namespace hinge::bench {

namespace {

using row = std::vector<std::string>;

constexpr std::array columns = {"offered", "completed",   "p50",        "p99",
                                "p99.9",   "service p99", "client CPU", "server CPU"};

/// Of the latency, but for what is called service. Figures that aren't valid are left out.
row row_of(const sweep_step& step) {
  const report& shown = step.shown;
  row cells = {fmt::format("{:.0f}", shown.asked.rate)};
  if (!step.flaws.empty() || shown.found.latency.count() == 0) return cells;
  const histogram& latency = shown.found.latency;
  const auto time = [](std::int64_t value) { return short_time(static_cast<double>(value)); };
  cells.push_back(fmt::format("{:.0f}", shown.per_second()));
  for (const double percent : {50.0, 99.0, 99.9})
    cells.push_back(time(latency.percentile(percent)));
  cells.push_back(time(shown.found.service.percentile(99)));
  cells.push_back(fmt::format("{:.0f} %", 100 * shown.client_cpu_share()));
  const std::optional<double> server = shown.server_cpu_share();
  cells.push_back(server ? fmt::format("{:.0f} %", 100 * *server) : "-");
  return cells;
}

std::string remark_on(const sweep_step& step) {
  if (step.outcome == step_outcome::follows) return {};
  const std::string_view name = step.flaws.empty() ? name_of(step.outcome) : "INVALID";
  return fmt::format("{}: {}", name, step.why);
}

std::vector<const sweep_step*> by_rate(const sweep& all) {
  std::vector<const sweep_step*> sorted;
  for (const sweep_step& one : all.steps()) sorted.push_back(&one);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return a->shown.asked.rate < b->shown.asked.rate;
  });
  return sorted;
}

std::string answer_of(const sweep& all) {
  const sweep_step* const top = all.highest();
  if (top == nullptr) return fmt::format("no step has followed: {}", all.end());
  const std::string_view name = all.bound() != nullptr ? "knee" : "highest";
  return fmt::format("{}: {:.0f} a second, p99 {}; {}", name, top->shown.asked.rate,
                     short_time(static_cast<double>(top->shown.found.latency.percentile(99))),
                     all.end());
}

std::string heading(const sweep& all) {
  const report& first = all.steps().front().shown;
  const load_options& asked = first.asked;
  std::string text = fmt::format("{} {}", name_of(asked.work), asked.target.text());
  if (!first.backend.empty()) text += fmt::format(" (here, on {})", first.backend);
  return text + fmt::format(", {:.0f} to {:.0f} per second ({}), {} bytes each way, {:.2f} s each",
                            all.range().from, all.range().to, name_of(asked.arrivals), asked.bytes,
                            in_seconds(asked.duration));
}

}  // namespace

std::string to_table(const sweep& all) {
  if (all.steps().empty()) return {};
  std::string text = heading(all) + "\n ";
  for (const char* name : columns) text += fmt::format("{:>12}", name);
  text += '\n';
  for (const sweep_step* step : by_rate(all)) {
    text += ' ';
    for (const std::string& cell : row_of(*step)) text += fmt::format("{:>12}", cell);
    const std::string remark = remark_on(*step);
    text += remark.empty() ? "\n" : fmt::format("  {}\n", remark);
  }
  return text + fmt::format("  {}\n", answer_of(all));
}

std::string to_json(const sweep& all) {
  using json = nlohmann::ordered_json;
  json steps = json::array();
  for (const sweep_step* step : by_rate(all)) {
    steps.push_back({{"outcome", name_of(step->outcome)},
                     {"why", step->why},
                     {"report", json::parse(to_json(step->shown, step->flaws))}});
  }
  const auto rate_of = [](const sweep_step* step) {
    return step != nullptr ? json(step->shown.asked.rate) : json();
  };
  const json whole = {
      {"format", "hinge-bench-sweep/1"},
      {"from", all.range().from},
      {"to", all.range().to},
      {"highest", rate_of(all.highest())},
      {"bound", rate_of(all.bound())},
      {"answered", all.answered()},
      {"end", all.end()},
      {"steps", std::move(steps)},
  };
  return whole.dump(2) + "\n";
}

std::string to_csv(const sweep& all) {
  std::string text;
  for (const sweep_step* step : by_rate(all)) {
    const std::string one = to_csv(fields_of(step->shown, step->flaws));
    text += text.empty() ? one : one.substr(one.find('\n') + 1);
  }
  return text;
}

std::string to_markdown(const sweep& all) {
  std::string text = "|";
  for (const char* name : columns) text += fmt::format(" {} |", name);
  text += " |\n|";
  for (std::size_t i = 0; i < columns.size(); ++i) text += "---:|";
  text += "---|\n";
  for (const sweep_step* step : by_rate(all)) {
    text += '|';
    row cells = row_of(*step);
    cells.resize(columns.size());
    for (const std::string& cell : cells) text += fmt::format(" {} |", cell);
    std::string remark = remark_on(*step);
    std::replace(remark.begin(), remark.end(), '|', '/');
    text += fmt::format(" {} |\n", remark);
  }
  return text + fmt::format("\n{}\n", answer_of(all));
}

}  // namespace hinge::bench
