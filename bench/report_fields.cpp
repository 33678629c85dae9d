#include "report_fields.hpp"

#include <fmt/format.h>

namespace hinge::bench {

namespace {

/// The value of a CSV field or a Markdown cell: what would end it is doubled or escaped.
std::string with_each(std::string_view text, char special, std::string_view replacement) {
  std::string copy;
  for (const char one : text) {
    if (one == special) {
      copy += replacement;
    } else {
      copy += one;
    }
  }
  return copy;
}

void add_times(report_fields& into, const std::string& what, const histogram& times, bool valid) {
  const bool known = valid && times.count() > 0;
  for (const auto& [name, percent] : shown_percentiles) {
    into.emplace_back(
        fmt::format("{}_{}_us", what, name),
        known ? fmt::format("{:.1f}", static_cast<double>(times.percentile(percent)) / 1e3) : "");
  }
  into.emplace_back(what + "_max_us",
                    known ? fmt::format("{:.1f}", static_cast<double>(times.max()) / 1e3) : "");
}

}  // namespace

report_fields fields_of(const report& shown, const std::vector<finding>& flaws) {
  const load_options& asked = shown.asked;
  const load_result& found = shown.found;
  const bool valid = flaws.empty();
  std::string verdict = valid ? "valid" : "";
  for (const finding& one : flaws) {
    verdict += fmt::format("{}{}: {}", verdict.empty() ? "" : "; ", name_of(one.what), one.reason);
  }
  report_fields all = {
      {"workload", std::string(name_of(asked.work))},
      {"target", asked.target.text()},
      {"backend", shown.backend},
      {"loop", asked.rate > 0 ? "open" : "closed"},
      {"rate", asked.rate > 0 ? fmt::format("{:.0f}", asked.rate) : ""},
      {"arrivals", asked.rate > 0 ? std::string(name_of(asked.arrivals)) : ""},
      {"connections", fmt::format("{}", asked.connections)},
      {"threads", fmt::format("{}", asked.threads)},
      {"bytes", fmt::format("{}", asked.bytes)},
      {"verdict", verdict},
      {"errors", fmt::format("{}", total(found.errors))},
      {"unfinished", fmt::format("{}", found.unfinished)},
  };
  const auto figure = [&](const char* name, std::optional<double> value, int decimals) {
    all.emplace_back(name, valid && value ? fmt::format("{:.{}f}", *value, decimals) : "");
  };
  figure("measured_s", shown.seconds(), 3);
  figure("completed", static_cast<double>(found.completed), 0);
  figure("per_second", shown.per_second(), 1);
  add_times(all, "latency", found.latency, valid);
  add_times(all, "service", found.service, valid);
  figure("client_cpu_share", shown.client_cpu_share(), 3);
  figure("server_cpu_share", shown.server_cpu_share(), 3);
  figure("server_cpu_us_per_operation", shown.server_us_per_operation(), 2);
  figure("server_bytes_each", shown.server_bytes_each(), 0);
  figure("server_cpu_us_each_second", shown.server_us_each_second(), 3);
  const bool drained = !shown.found.drains.empty();
  figure("drain_us", drained ? std::optional(shown.drain_ns().median / 1e3) : std::nullopt, 1);
  return all;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  return '"' + with_each(text, '"', "\"\"") + '"';
}

std::string to_csv(const report_fields& fields) {
  std::string names;
  std::string values;
  for (const auto& [name, value] : fields) {
    names += (names.empty() ? "" : ",") + name;
    values += (values.empty() ? "" : ",") + csv_field(value);
  }
  return names + '\n' + values + '\n';
}

std::string to_markdown(const report_fields& fields) {
  std::string text = "| | |\n|---|---|\n";
  for (const auto& [name, value] : fields) {
    if (!value.empty()) text += fmt::format("| {} | {} |\n", name, with_each(value, '|', "\\|"));
  }
  return text;
}

}  // namespace hinge::bench
