#include "svg_plot.hpp"

#include <fmt/format.h>

#include "markup.hpp"

namespace hinge::bench {

namespace {

std::string across(double share) { return share_text(share); }
std::string down(double share) { return share_text(1 - share); }

}  // namespace

svg_plot::svg_plot(std::string_view kind, std::string_view what)
    : head_(fmt::format(R"(role="img" aria-label="{}" data-plot="{}")", escaped(what), kind)) {}

void svg_plot::horizontal(const axis& labelled) {
  lines_across(labelled);
  for (const tick& one : labelled.ticks()) {
    below_ += fmt::format(R"(<text class="tick{}" x="{}" y="100%" dy="1.6em" )"
                          R"(text-anchor="middle">{}</text>)",
                          one.minor ? " minor" : "", across(one.at), escaped(one.label));
  }
}

void svg_plot::lines_across(const axis& along) {
  for (const tick& one : along.ticks()) {
    below_ += fmt::format(R"(<line class="grid{1}" x1="{0}" x2="{0}" y1="0%" y2="100%"/>)",
                          across(one.at), one.minor ? " light" : "");
  }
}

void svg_plot::vertical(const axis& labelled) {
  for (const tick& one : labelled.ticks()) {
    const std::string y = down(one.at);
    below_ += fmt::format(R"(<line class="grid{2}" x1="0%" x2="100%" y1="{0}" y2="{0}"/>)"
                          R"(<text class="tick" x="0%" y="{0}" dx="-.7em" dy=".35em" )"
                          R"(text-anchor="end">{1}</text>)",
                          y, escaped(one.label), one.minor ? " light" : "");
  }
}

// In a coordinate system of its own, that alone is stretched; the strokes aren't.
void svg_plot::line(const std::vector<place>& through, std::string_view look,
                    std::string_view data) {
  std::string points;
  for (const place& one : through) {
    points +=
        fmt::format("{}{:.2f},{:.2f}", points.empty() ? "" : " ", 1000 * one.x, 1000 * (1 - one.y));
  }
  lines_ += fmt::format(R"(<polyline class="{}" points="{}" {}/>)", look, points, data);
}

void svg_plot::mark(place at, std::string_view look, std::string_view tells,
                    std::string_view data) {
  above_ += fmt::format(R"(<circle class="{}" cx="{}" cy="{}" r="4" {}><title>{}</title></circle>)",
                        look, across(at.x), down(at.y), data, escaped(tells));
}

void svg_plot::column(double left, double width, double height, std::string_view look,
                      std::string_view tells, std::string_view data) {
  above_ += fmt::format(R"(<rect class="{}" x="{}" y="{}" width="{}" height="{}" {}>)"
                        R"(<title>{}</title></rect>)",
                        look, across(left), down(height), share_text(width), share_text(height),
                        data, escaped(tells));
}

void svg_plot::text(place at, std::string_view anchor, std::string_view look,
                    std::string_view text) {
  above_ += fmt::format(R"(<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>)", look,
                        across(at.x), down(at.y), anchor, escaped(text));
}

std::string svg_plot::html(std::string_view look) const {
  return fmt::format(
      R"(<svg class="{}" {}>{}<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" )"
      R"(width="100%" height="100%">{}</svg>{}</svg>)"
      "\n",
      look, head_, below_, lines_, above_);
}

}  // namespace hinge::bench
