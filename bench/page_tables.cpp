#include "page_tables.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>

#include "markup.hpp"

namespace hinge::bench {

namespace {

constexpr std::array swept = {"p50", "p99", "p99.9", "max"};

std::string section(std::string_view heading, std::string_view table) {
  return fmt::format(
      "<section>\n<h2>{}</h2>\n<div class=\"scroll\"><table>\n{}</table></div>\n</section>\n",
      escaped(heading), table);
}

std::string with_spaces(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

/// The value under that name, or nothing.
std::string value_of(const stored_texts& from, const std::string& name) {
  const auto found =
      std::find_if(from.begin(), from.end(), [&](const auto& one) { return one.first == name; });
  return found == from.end() ? "" : found->second;
}

std::string values_table(std::string_view heading, std::string_view kind, const stored_results& all,
                         const std::function<stored_texts(const stored_result&)>& texts_of) {
  std::vector<stored_texts> columns;
  std::vector<std::string> names;
  for (const stored_result& result : all) {
    columns.push_back(texts_of(result));
    for (const auto& [name, value] : columns.back()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.empty()) return {};
  bool parted = false;
  std::string rows;
  for (const std::string& name : names) {
    std::vector<std::string> values;
    for (const stored_texts& one : columns) values.push_back(value_of(one, name));
    const bool same = std::equal(values.begin() + 1, values.end(), values.begin());
    parted = parted || !same;
    rows += fmt::format("<tr data-{}=\"{}\"><th scope=\"row\">{}</th>", kind, escaped(name),
                        escaped(name));
    if (same) values.resize(1);
    for (const std::string& value : values) {
      rows += fmt::format("<td{}>{}</td>",
                          same ? fmt::format(" colspan=\"{}\"", all.size()) : std::string(),
                          escaped(value));
    }
    rows += "</tr>\n";
  }
  std::string head;
  for (const stored_result& one : all) {
    head += fmt::format("<th scope=\"col\">{}</th>", escaped(one.name));
  }
  if (parted) head = fmt::format("<thead><tr><td></td>{}</tr></thead>\n", head);
  return section(heading, (parted ? head : "") + "<tbody>\n" + rows + "</tbody>\n");
}

}  // namespace

std::string sweep_tables(const stored_results& all) {
  std::string html;
  for (const stored_result& result : all) {
    if (result.sweep.empty()) continue;
    std::string table =
        "<thead><tr><th class=\"number\">offered</th><th class=\"number\">completed</th>";
    for (const char* name : swept) table += fmt::format("<th class=\"number\">{}</th>", name);
    table += "<th></th></tr></thead>\n<tbody>\n";
    for (const sweep_point& point : result.sweep) {
      table += fmt::format("<tr><td class=\"number\">{}</td><td class=\"number\">{}</td>",
                           count_text(point.offered), count_text(point.completed));
      for (const char* name : swept) {
        const auto ns = point.latency.at(name);
        table += fmt::format("<td class=\"number\">{}</td>", ns ? time_text(*ns) : "");
      }
      table += fmt::format("<td>{}</td></tr>\n", point.valid ? "valid" : "void");
    }
    html += section("Sweep: " + result.name, table + "</tbody>\n");
  }
  return html;
}

std::string counted_tables(const stored_results& all) {
  std::string html;
  for (const stored_result& result : all) {
    if (result.counted.empty()) continue;
    std::vector<std::string> kinds;
    for (const stored_count& one : result.counted) {
      for (const auto& [kind, value] : one.values) {
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
      }
    }
    std::string table = "<thead><tr><th></th>";
    for (const std::string& kind : kinds) {
      table += fmt::format("<th class=\"number\">{}</th>", escaped(with_spaces(kind)));
    }
    table += "</tr></thead>\n<tbody>\n";
    for (const stored_count& one : result.counted) {
      table +=
          fmt::format("<tr data-counted=\"{0}\"><th scope=\"row\">{0}</th>", escaped(one.subject));
      for (const std::string& kind : kinds) {
        table += fmt::format("<td class=\"number\">{}</td>", escaped(value_of(one.values, kind)));
      }
      table += "</tr>\n";
    }
    html += section("Counted for each operation: " + result.name, table + "</tbody>\n");
  }
  return html;
}

std::string settings_table(const stored_results& all) {
  return values_table("Asked for", "asked", all, [](const auto& one) { return one.asked; });
}

std::string kernel_table(const stored_results& all) {
  return values_table("Counted by the kernel", "kernel", all, [](const stored_result& one) {
    stored_texts texts;
    for (const auto& [name, count] : one.kernel) {
      texts.emplace_back(name, count_text(static_cast<double>(count)));
    }
    return texts;
  });
}

std::string environment_table(const stored_results& all) {
  return values_table("Environment", "environment", all,
                      [](const auto& one) { return one.environment; });
}

}  // namespace hinge::bench
