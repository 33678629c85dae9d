#include "page.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "markup.hpp"
#include "page_style.hpp"
#include "page_tables.hpp"

namespace hinge::bench {

namespace {

/// A browser then loads nothing else, whatever a result has in its texts.
constexpr const char* policy = "default-src 'none'; style-src 'unsafe-inline'";

std::string verdict_html(const stored_result& result) {
  if (!result.judged) return {};
  if (result.valid) {
    return fmt::format("<p class=\"verdict good\" data-valid=\"true\">✓ valid{}</p>\n",
                       result.interrupted ? ", interrupted" : "");
  }
  std::string html =
      "<p class=\"verdict bad\" data-valid=\"false\">✗ not valid: its figures are void</p>\n";
  for (const auto& [kind, reason] : result.flaws) {
    html += fmt::format("<p class=\"reason\"><b>{}</b>: {}</p>\n", escaped(kind), escaped(reason));
  }
  return html;
}

/// Names and values that stand out.
class tiles {
public:
  explicit tiles(bool valid) : valid_(valid) {}

  void add(std::string_view name, const std::string& value, std::string_view look = {},
           std::string_view beside = {}) {
    items_ += fmt::format("<div class=\"{}\"><dt>{}{}</dt><dd>{}{}</dd></div>\n", look,
                          valid_ ? "" : "void ", escaped(name), escaped(value), beside);
  }
  std::string html() const {
    return fmt::format("<dl class=\"figures{}\">\n{}</dl>\n", valid_ ? "" : " void", items_);
  }

private:
  bool valid_;
  std::string items_;
};

std::string errors_text(const stored_counts& errors) {
  std::string text;
  for (const auto& [kind, count] : errors) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count_text(static_cast<double>(count)),
                        kind);
  }
  return text.empty() ? "none" : text;
}

std::string figures_html(const stored_result& result) {
  const stored_figures& found = *result.figures;
  const bool open = found.latency.known();
  tiles all(result.valid);
  all.add("per second", count_text(found.per_second), "first",
          fmt::format("<small>95 %: {} – {}</small>", count_text(found.per_second_low),
                      count_text(found.per_second_high)));
  const stored_times& shown = open ? found.latency : found.service;
  for (const char* name : {"p50", "p99", "p99.9", "max"}) {
    if (const auto ns = shown.at(name))
      all.add(fmt::format("{} {}", open ? "latency" : "service", name), time_text(*ns));
  }
  if (const auto ns = found.service.at("p99"); open && ns) all.add("service p99", time_text(*ns));
  if (found.server_us_per_operation)
    all.add("server CPU each", time_text(*found.server_us_per_operation * 1e3));
  if (found.client_cpu_share)
    all.add("client CPU", fmt::format("{:.0f} %", 100 * *found.client_cpu_share));
  all.add("errors", errors_text(found.errors));
  if (found.unfinished != 0)
    all.add("unfinished", count_text(static_cast<double>(found.unfinished)));
  if (result.lost) all.add("lost", count_text(static_cast<double>(*result.lost)));
  return all.html();
}

std::string knee_html(const stored_result& result) {
  tiles all(result.valid);
  all.add("followed up to, per second", count_text(*result.knee), "first");
  return all.html();
}

std::string card(const stored_result& result) {
  std::string about = name_of(result);
  for (const auto& [name, value] : result.asked) {
    // Of a comparison it is said of echo alone.
    if (name == "connections" && result.comparison.empty())
      about += fmt::format(", {} connections", value);
    if (name == "rate") about += fmt::format(", {} a second", rate_text(std::stod(value)));
    if (name == "bytes" && value != "0") about += fmt::format(", {} bytes", value);
  }
  return fmt::format(
      "<article class=\"card\">\n<h3>{}</h3>\n<p class=\"about\">{}</p>\n{}{}</article>\n",
      escaped(result.name), escaped(about), verdict_html(result),
      result.figures ? figures_html(result)
      : result.knee  ? knee_html(result)
                     : "");
}

std::string heading(const stored_results& all) {
  if (all.size() == 1) return all.front().name;
  std::vector<std::string> works;
  for (const stored_result& one : all) {
    if (std::find(works.begin(), works.end(), one.workload) == works.end() && !one.workload.empty())
      works.push_back(one.workload);
  }
  return fmt::format("{}{}{} results", fmt::join(works, ", "), works.empty() ? "" : ": ",
                     all.size());
}

std::string verdict_of_all(const stored_results& all) {
  const auto count = [&all](auto&& holds) {
    return std::count_if(all.begin(), all.end(), [&](const auto& one) { return holds(one); });
  };
  const auto judged = count([](const auto& one) { return one.judged; });
  const auto bad = count([](const auto& one) { return !one.valid; });
  if (judged == 0) return {};
  const std::string text = judged == 1
                               ? (bad == 0 ? "The result is valid." : "The result isn't valid.")
                           : bad == 0 ? fmt::format("All {} results are valid.", judged)
                                      : fmt::format("{} of {} results aren't valid.", bad, judged);
  return fmt::format("<p class=\"lead {}\">{} {}</p>\n", bad == 0 ? "good" : "bad",
                     bad == 0 ? "✓" : "✗", text);
}

}  // namespace

std::string to_page(const stored_results& all) {
  std::string cards;
  for (const stored_result& one : all) cards += card(one);
  const std::string title = escaped(heading(all));
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>{} – hinge-bench</title>\n<style>{}</style>\n</head>\n<body>\n",
             policy, title, page_style) +
         fmt::format("<header>\n<p class=\"eyebrow\">hinge-bench</p>\n<h1>{}</h1>\n{}</header>\n",
                     title, verdict_of_all(all)) +
         fmt::format("<div class=\"cards\">\n{}</div>\n", cards) + sweep_plot(all) +
         percentile_plot(all) + ratio_plots(all) + fairness_plots(all) + sweep_tables(all) +
         counted_tables(all) + settings_table(all) + kernel_table(all) + environment_table(all) +
         "<footer>Times are HdrHistogram percentiles. Counts of the kernel are those of the "
         "network "
         "namespace, cgroup and machine while it was measured.</footer>\n</body>\n</html>\n";
}

}  // namespace hinge::bench
