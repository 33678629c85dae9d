#include "comparison_report.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "report_fields.hpp"

namespace hinge::bench {

namespace {

using row = std::vector<std::string>;

std::string flaws_text(const std::vector<finding>& flaws) {
  std::string text;
  for (const finding& one : flaws)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name_of(one.what), one.reason);
  return text;
}

std::string number(double value, int decimals) { return fmt::format("{:.{}f}", value, decimals); }

std::string count_text(const comparison& of, std::size_t who, counted kind) {
  if (who >= of.counted.size()) return {};
  const count& one = of.counted[who][static_cast<std::size_t>(kind)];
  const bool whole = kind == counted::user_instructions || kind == counted::bytes;
  return one.each ? number(*one.each, whole ? 0 : 2) : "";
}

constexpr std::array kinds = {counted::system_calls, counted::user_instructions, counted::packets,
                              counted::bytes};

/// What is said above the rows of a work.
std::string heading(const comparison& of) {
  return fmt::format("{}: {}, {} rounds, {} network", name_of(of.work), of.way, of.rounds,
                     of.own_network ? "a fresh" : "the shared");
}

/// A cell for each column: the name, each figure with ratio and interval, and what was counted.
std::vector<row> rows_of(const comparison_report& shown, const comparison& of, bool plain) {
  row names = {""};
  for (const std::string& figure : of.figures) {
    names.push_back(figure);
    names.emplace_back("ratio");
    names.emplace_back("95 % interval");
  }
  for (const counted kind : of.counted.empty() ? std::vector<counted>()
                                               : std::vector<counted>(kinds.begin(), kinds.end())) {
    std::string name(name_of(kind));
    std::replace(name.begin(), name.end(), '_', ' ');
    names.push_back(std::move(name));
  }
  std::vector<row> all = {names};
  for (std::size_t who = 0; who < of.found.size(); ++who) {
    row cells = {row_name(shown, who)};
    for (const compared_figure& one : of.found[who]) {
      cells.push_back(plain ? number(one.median, 2) : "");
      cells.push_back(plain && who != 0 ? number(one.ratio.median, 3) : "");
      cells.push_back(
          plain && who != 0 ? fmt::format("{:.3f} .. {:.3f}", one.ratio.low, one.ratio.high) : "");
    }
    while (cells.size() < names.size())
      cells.push_back(count_text(of, who, kinds[cells.size() - 1 - 3 * of.figures.size()]));
    all.push_back(std::move(cells));
  }
  return all;
}

/// Why something wasn't counted, each reason once.
std::string missing_text(const comparison_report& shown, const comparison& of) {
  std::string text;
  for (std::size_t who = 0; who < of.counted.size(); ++who) {
    for (const counted kind : kinds) {
      const std::string& why = of.counted[who][static_cast<std::size_t>(kind)].missing;
      const std::string line = fmt::format("{}: {}", name_of(kind), why);
      if (why.empty() || text.find(line) != text.npos) continue;
      text += fmt::format("  not counted of {}: {}\n", row_name(shown, who), line);
    }
  }
  return text;
}

std::string aligned(const std::vector<row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const row& cells : rows)
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  std::string text;
  for (const row& cells : rows) {
    std::string line = fmt::format("  {:<{}}", cells.front(), widths.front());
    for (std::size_t i = 1; i < cells.size(); ++i)
      line += fmt::format("  {:>{}}", cells[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

}  // namespace

bool comparison_report::valid() const {
  return std::all_of(found.begin(), found.end(),
                     [](const comparison& one) { return one.flaws.empty(); });
}

std::string row_name(const comparison_report& shown, std::size_t who) {
  const auto& names = shown.asked.names;
  return who < names.size() ? names[who] : names.front() + " again";
}

std::string to_table(const comparison_report& shown) {
  std::string text;
  for (const comparison& one : shown.found) {
    text += heading(one) + '\n';
    if (!one.flaws.empty())
      text += fmt::format("  INVALID, the figures are void: {}\n", flaws_text(one.flaws));
    std::vector<row> rows = rows_of(shown, one, true);
    if (!one.flaws.empty()) {
      for (std::size_t i = 0; i < one.figures.size(); ++i) rows.front()[1 + 3 * i] += ", void";
    }
    text += aligned(rows) + missing_text(shown, one);
  }
  return text;
}

std::string to_markdown(const comparison_report& shown) {
  std::string text;
  for (const comparison& one : shown.found) {
    text += fmt::format("{}{}{}\n\n", text.empty() ? "" : "\n", heading(one),
                        one.flaws.empty() ? "" : "; not valid: " + flaws_text(one.flaws));
    const std::vector<row> rows = rows_of(shown, one, one.flaws.empty());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      text += fmt::format("| {} |\n", fmt::join(rows[i], " | "));
      if (i != 0) continue;
      text += "|---|";
      for (std::size_t j = 1; j < rows[i].size(); ++j) text += "--:|";
      text += '\n';
    }
  }
  return text;
}

std::string to_csv(const comparison_report& shown) {
  std::string text = "work,name,way,rounds,verdict,measure,value,ratio,ratio_low,ratio_high\n";
  for (const comparison& of : shown.found) {
    const bool valid = of.flaws.empty();
    for (std::size_t who = 0; who < of.found.size(); ++who) {
      const std::string begin =
          fmt::format("{},{},{},{},{}", name_of(of.work), row_name(shown, who), csv_field(of.way),
                      of.rounds, csv_field(valid ? "valid" : flaws_text(of.flaws)));
      for (std::size_t i = 0; i < of.figures.size(); ++i) {
        const compared_figure& one = of.found[who][i];
        text += fmt::format("{},{},", begin, of.figures[i]);
        text += valid ? fmt::format("{:.3f},{:.4f},{:.4f},{:.4f}\n", one.median, one.ratio.median,
                                    one.ratio.low, one.ratio.high)
                      : ",,,\n";
      }
      for (const counted kind : kinds) {
        const std::string value = count_text(of, who, kind);
        if (!value.empty()) text += fmt::format("{},{},{},,,\n", begin, name_of(kind), value);
      }
    }
  }
  return text;
}

}  // namespace hinge::bench
