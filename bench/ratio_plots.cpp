#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "figure.hpp"
#include "markup.hpp"
#include "page_plots.hpp"
#include "svg_plot.hpp"

namespace hinge::bench {

namespace {

struct row {
  std::size_t result;
  const stored_ratio* ratio;
  std::string names;  ///< of the two
};

/// Of one result among several it says which: two may have the same servers.
std::string names_of(const std::string& result, const stored_ratio& of) {
  return fmt::format("{}{}{} / {}{}{}", result, result.empty() ? "" : ": ", of.candidate,
                     of.reference, of.control ? " (control)" : "", of.valid ? "" : " (void)");
}

std::string factor_text(double ratio) { return fmt::format("{:g}", ratio); }

axis axis_of(const std::vector<row>& rows) {
  range ends;
  ends.add(1);
  for (const row& one : rows) {
    ends.add(one.ratio->low);
    ends.add(one.ratio->high);
  }
  if (ends.low > 0 && ends.high / ends.low > 4)
    return axis::logarithmic(ends.low, ends.high, factor_text);
  return axis::linear(ends.low, ends.high, factor_text);
}

/// The interval, below the names: names of any length have room on a narrow page.
std::string html_of(const row& one, const axis& across, bool last) {
  const stored_ratio& of = *one.ratio;
  const bool differs = of.valid && (of.low > 1 || of.high < 1);
  const std::string look = of.control ? "control" : colour_of(differs ? 0 : 1);
  const std::string figures = fmt::format("{:.3f} [{:.3f}, {:.3f}]", of.ratio, of.low, of.high);
  const std::string_view said = !of.valid      ? "void"
                                : of.control   ? "the same against itself"
                                : !differs     ? "no difference found"
                                : of.ratio < 1 ? "less than the reference"
                                               : "more than the reference";
  const std::string tells = fmt::format("{}\n{}: {}", one.names, figures, said);
  svg_plot plot("ratio", tells);
  if (last) {
    plot.horizontal(across);
  } else {
    plot.lines_across(across);
  }
  plot.line({{across.at(1), 0}, {across.at(1), 1}}, "equal");
  plot.line({{across.at(of.low), 0.5}, {across.at(of.high), 0.5}}, look + " interval");
  plot.mark({across.at(of.ratio), 0.5}, look + (differs || of.control ? " dot" : " dot void"),
            tells,
            fmt::format(R"(data-result="{}" data-candidate="{}" data-reference="{}" )"
                        R"(data-measure="{}" data-ratio="{}" data-low="{}" data-high="{}" )"
                        R"(data-control="{}" data-valid="{}")",
                        one.result, escaped(of.candidate), escaped(of.reference),
                        escaped(of.measure), of.ratio, of.low, of.high, of.control, of.valid));
  return fmt::format("<div class=\"ratio\"><b>{}</b><span>{}</span></div>\n{}", escaped(one.names),
                     figures, plot.html("strip"));
}

std::string figure_of(const std::string& measure, const std::vector<row>& rows) {
  const axis across = axis_of(rows);
  std::string plots;
  for (const row& one : rows) plots += html_of(one, across, &one == &rows.back());
  return figure(
      "Compared: " + measure,
      "Each against its reference, with the 95 % interval. To the left of 1 it needs less "
      "than the reference; a hollow mark is a difference that wasn't found, or isn't valid.",
      "", "<div class=\"ratios\">\n" + plots + "</div>\n", "ratio");
}

}  // namespace

std::string ratio_plots(const stored_results& all) {
  std::vector<std::pair<std::string, std::vector<row>>> measures;
  const bool several = std::count_if(all.begin(), all.end(),
                                     [](const auto& one) { return !one.comparison.empty(); }) > 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const stored_ratio& one : all[i].comparison) {
      auto found = std::find_if(measures.begin(), measures.end(),
                                [&](const auto& known) { return known.first == one.measure; });
      if (found == measures.end()) found = measures.insert(found, {one.measure, {}});
      found->second.push_back({i, &one, names_of(several ? all[i].name : "", one)});
    }
  }
  std::string html;
  for (const auto& [measure, rows] : measures) html += figure_of(measure, rows);
  return html;
}

}  // namespace hinge::bench
