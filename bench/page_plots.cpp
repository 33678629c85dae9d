#include "page_plots.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "figure.hpp"
#include "markup.hpp"
#include "svg_plot.hpp"

namespace hinge::bench {

namespace {

constexpr std::array curve_marks = {"p50", "p90", "p99", "p99.9", "p99.99"};
constexpr std::array sweep_percentiles = {"p50", "p99", "p99.9"};

svg_plot plot_between(const axis& across, const axis& up, const char* kind, const char* title) {
  svg_plot plot(kind, title);
  plot.horizontal(across);
  plot.vertical(up);
  return plot;
}

/// One line of the percentile plot.
struct curve {
  std::size_t result;
  const char* measure;
  const stored_times* times;
  std::string look;
  std::string label;
};

std::vector<curve> curves_of(const stored_results& all) {
  std::vector<curve> found;
  const auto add = [&](std::size_t i, const char* measure, const stored_times& times,
                       const char* dash) {
    if (times.curve.empty()) return;
    found.push_back({i, measure, &times, fmt::format("{} {}", colour_of(i), dash),
                     fmt::format("{}{}: {}", all[i].name, all[i].valid ? "" : " (void)", measure)});
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].figures) continue;
    const bool open = !all[i].figures->latency.curve.empty();
    add(i, "latency", all[i].figures->latency, "solid");
    add(i, "service", all[i].figures->service, open ? "dashed" : "solid");
  }
  return found;
}

double percent_of(std::string_view name) { return std::stod(std::string(name.substr(1))); }

void draw(svg_plot& into, const curve& one, const axis& across, const axis& up) {
  const double most = static_cast<double>(one.times->curve.back().count);
  const auto put = [&](double percent, double ns) {
    // The largest of n values is the percentile that has but itself above.
    return place{across.at(std::min(percent, 100 * (1 - 1 / most))), up.at(std::max(ns, 1.0))};
  };
  const std::string data =
      fmt::format(R"(data-result="{}" data-measure="{}")", one.result, one.measure);
  std::vector<place> through;
  for (const auto& [percent, ns, count] : one.times->curve) {
    through.push_back(put(percent, static_cast<double>(ns)));
  }
  into.line(through, one.look, data);
  for (const auto& [percent, ns, count] : one.times->curve) {
    const double value = static_cast<double>(ns);
    into.mark(put(percent, value), one.look + " hit",
              fmt::format("{}\n{:.6g} %: {}", one.label, percent, time_text(value)),
              fmt::format(R"({} data-percent="{}" data-ns="{}" data-count="{}")", data, percent, ns,
                          count));
  }
  for (const char* name : curve_marks) {
    const auto ns = one.times->at(name);
    if (!ns || percent_of(name) > 100 * (1 - 1 / most)) continue;
    into.mark(put(percent_of(name), *ns), one.look + " dot",
              fmt::format("{}\n{}: {}", one.label, name, time_text(*ns)),
              fmt::format(R"({} data-name="{}" data-ns="{:.0f}")", data, name, *ns));
  }
}

struct sweep_line {
  std::size_t result;
  std::string_view percentile;
  std::string look;
  std::string label;
};

std::vector<sweep_line> lines_of(const stored_results& all) {
  constexpr std::array dashes = {"dotted", "dashed", "solid"};
  const auto sweeps =
      std::count_if(all.begin(), all.end(), [](const auto& one) { return !one.sweep.empty(); });
  std::vector<sweep_line> lines;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].sweep.empty()) continue;
    for (std::size_t p = 0; p < sweep_percentiles.size(); ++p) {
      // With one sweep the colours are the percentiles'.
      const std::string look = fmt::format("{} {}", colour_of(sweeps == 1 ? p : i), dashes[p]);
      lines.push_back({i, sweep_percentiles[p], look,
                       fmt::format("{}: {}", all[i].name, sweep_percentiles[p])});
    }
  }
  return lines;
}

void draw(svg_plot& into, const sweep_line& line, const stored_result& result, const axis& across,
          const axis& up) {
  std::vector<place> through;
  for (const sweep_point& point : result.sweep) {
    const auto ns = point.latency.at(line.percentile);
    if (!ns) continue;
    const place at{across.at(point.offered), up.at(std::max(*ns, 1.0))};
    if (point.valid) through.push_back(at);
    into.mark(at, line.look + (point.valid ? " dot" : " dot void"),
              fmt::format("{}\n{} of {} per second{}: {}", line.label, rate_text(point.completed),
                          rate_text(point.offered), point.valid ? "" : ", void", time_text(*ns)),
              fmt::format(R"(data-result="{}" data-measure="{}" data-offered="{}" )"
                          R"(data-completed="{}" data-ns="{:.0f}")",
                          line.result, line.percentile, point.offered, point.completed, *ns));
  }
  into.line(through, line.look,
            fmt::format(R"(data-result="{}" data-measure="{}")", line.result, line.percentile));
}

}  // namespace

std::string percentile_plot(const stored_results& all) {
  const std::vector<curve> curves = curves_of(all);
  if (curves.empty()) return {};
  range ns;
  range counts;
  for (const curve& one : curves) {
    ns.add(std::max(1.0, static_cast<double>(one.times->curve.front().value)));
    ns.add(static_cast<double>(one.times->curve.back().value));
    counts.add(static_cast<double>(one.times->curve.back().count));
  }
  const axis across = axis::percentiles(counts.high);
  const axis up = axis::logarithmic(ns.low, ns.high, tick_text);
  svg_plot plot = plot_between(across, up, "percentiles",
                               "Time by percentile, each curve up to its largest value");
  legend names;
  for (const curve& one : curves) {
    draw(plot, one, across, up);
    names.add(one.look, one.label);
  }
  return figure("Time by percentile",
                "Latency counts from the moment when a client was to begin, service from when it "
                "did. Each step to the right leaves a tenth of the operations above.",
                names.html(), plot.html(), "percentile");
}

std::string sweep_plot(const stored_results& all) {
  const std::vector<sweep_line> lines = lines_of(all);
  range ns;
  range rates;
  for (const stored_result& result : all) {
    for (const sweep_point& point : result.sweep) {
      rates.add(point.offered);
      for (const char* name : sweep_percentiles) {
        if (const auto value = point.latency.at(name)) ns.add(std::max(1.0, *value));
      }
    }
  }
  if (lines.empty() || !ns.any) return {};
  const axis across = axis::linear(0, rates.high, rate_text);
  const axis up = axis::logarithmic(ns.low, ns.high, tick_text);
  svg_plot plot = plot_between(across, up, "sweep", "Latency by offered rate");
  legend names;
  for (const sweep_line& line : lines) {
    draw(plot, line, all[line.result], across, up);
    names.add(line.look, line.label);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].knee) continue;
    const double x = across.at(*all[i].knee);
    plot.line({{x, 0}, {x, 1}}, "knee",
              fmt::format(R"(data-result="{}" data-knee="{}")", i, *all[i].knee));
    plot.text({x, 1}, x > 0.7 ? "end" : "start", "knee",
              fmt::format("\u00a0knee at {}\u00a0", rate_text(*all[i].knee)));
  }
  return figure("Latency against offered load",
                "From the intended start. A hollow mark is of a run that isn't valid.",
                names.html(), plot.html(), "offered per second");
}

std::string fairness_plots(const stored_results& all) {
  std::string html;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::vector<loop_share>& loops = all[i].loops;
    if (loops.size() < 2) continue;
    const double many = static_cast<double>(loops.size());
    double most = 1;
    double sum = 0;
    for (const loop_share& one : loops) {
      most = std::max(most, static_cast<double>(one.accepted));
      sum += static_cast<double>(one.accepted);
    }
    const axis up = axis::linear(0, most, count_text);
    svg_plot plot("fairness", fmt::format("Connections accepted by each of {} loops", many));
    plot.vertical(up);
    for (std::size_t k = 0; k < loops.size(); ++k) {
      const double left = static_cast<double>(k) / many;
      const double accepted = static_cast<double>(loops[k].accepted);
      plot.column(left + 0.1 / many, 0.8 / many, up.at(accepted), colour_of(i) + " column",
                  fmt::format("loop {}: {} accepted, {:.1f} %", loops[k].name, count_text(accepted),
                              sum > 0 ? 100 * accepted / sum : 0),
                  fmt::format(R"(data-result="{}" data-loop="{}" data-accepted="{}")", i,
                              escaped(loops[k].name), loops[k].accepted));
      if (loops.size() <= 16)
        plot.text({left + 0.5 / many, -0.08}, "middle", "tick", loops[k].name);
    }
    const double fair = up.at(sum / many);
    plot.line({{0, fair}, {1, fair}}, "fair", fmt::format(R"(data-fair="{}")", sum / many));
    html +=
        figure("Fairness: " + all[i].name,
               fmt::format("Connections that each loop accepted. The line is an equal share; the "
                           "busiest has {:.2f} times that.",
                           sum > 0 ? most * many / sum : 0),
               "", plot.html(), "loop");
  }
  return html;
}

}  // namespace hinge::bench
