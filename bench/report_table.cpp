#include "report_table.hpp"

#include <hinge/error.hpp>

#include <utility>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

std::string times_text(const histogram& times) {
  const auto column = [](double value) { return fmt::format("{:>9}", short_time(value)); };
  std::string text = column(static_cast<double>(times.min())) + column(times.mean());
  for (const auto& shown : shown_percentiles) {
    text += column(static_cast<double>(times.percentile(shown.second)));
  }
  return text + column(static_cast<double>(times.max()));
}

std::string heading(const report& shown) {
  const load_options& asked = shown.asked;
  std::string text = fmt::format("{} {}", name_of(asked.work), asked.target.text());
  if (!shown.backend.empty()) text += fmt::format(" (here, on {})", shown.backend);
  if (asked.rate > 0) {
    text += fmt::format(", {:.0f} per second ({}) on at most {} connections", asked.rate,
                        name_of(asked.arrivals), asked.connections);
  } else {
    text += fmt::format(", {} connections", asked.connections);
  }
  if (asked.bytes > 0) text += fmt::format(", {} bytes each way", asked.bytes);
  return text + fmt::format(", {:.2f} s{}\n", shown.seconds(),
                            shown.found.interrupted ? ", interrupted" : "");
}

std::string runs_text(const std::vector<command_run>& runs) {
  std::string text;
  for (const command_run& one : runs) {
    text += fmt::format("{}at {} for {}", text.empty() ? "" : ", ",
                        short_time(static_cast<double>(one.at.count())),
                        short_time(static_cast<double>(one.took.count())));
    if (!one.exit_code) text += " and on";
    if (one.exit_code.value_or(0) != 0) text += fmt::format(" (exit code {})", *one.exit_code);
  }
  return text.empty() ? "never" : text;
}

std::string errors_text(const error_counts& counts, int other_errno) {
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const auto kind = static_cast<error_kind>(i);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", counts[i], name_of(kind));
    if (kind == error_kind::other) text += fmt::format(" ({})", errno_name(other_errno));
  }
  return text.empty() ? "none" : text;
}

/// Rows of a name and a value; those of figures are called void where they are.
class rows {
public:
  explicit rows(bool valid) : valid_(valid) {}

  void add(std::string_view name, const std::string& value) {
    text_ += fmt::format("  {:<16} {}\n", name, value);
  }
  void figure(std::string_view name, const std::string& value) {
    add(valid_ ? std::string(name) : fmt::format("void {}", name), value);
  }
  std::string text() const { return text_; }

private:
  bool valid_;
  std::string text_;
};

void add_times(rows& into, const load_result& found) {
  if (found.service.count() == 0) return;
  std::string names = fmt::format("{:>9}{:>9}", "min", "mean");
  for (const auto& [name, percent] : shown_percentiles) names += fmt::format("{:>9}", name);
  into.add("", names + fmt::format("{:>9}", "max"));
  into.figure("service", times_text(found.service));
  if (found.latency.count() != 0) into.figure("latency", times_text(found.latency));
}

void add_cpu(rows& into, const report& shown) {
  into.add("client CPU", fmt::format("{:.0f} % of {} thread{}", 100 * shown.client_cpu_share(),
                                     shown.asked.threads, shown.asked.threads == 1 ? "" : "s"));
  if (!shown.server_cpu_share()) return;
  into.figure("server CPU",
              fmt::format("{:.0f} %, {:.1f} us per operation", 100 * *shown.server_cpu_share(),
                          shown.server_us_per_operation().value_or(0)));
}

/// What stood beside the load, and what it and the rest cost the server.
void add_beside(rows& into, const report& shown) {
  const bystander_options& asked = shown.asked.beside;
  const bystander_result& found = shown.found.beside;
  if (asked.connections != 0) {
    std::string names;
    for (const manner one : asked.manners)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(one));
    into.add("beside",
             fmt::format("{} of {} {}; {} ended by the server, {} made again", found.present,
                         asked.connections, names, found.ended, found.made_again));
  }
  if (const auto each = shown.server_us_each_second())
    into.figure("CPU each", fmt::format("{:.2f} us a second of the server's", *each));
  if (const auto each = shown.server_bytes_each())
    into.figure("memory each", fmt::format("{:.0f} bytes of the server's", *each));
  if (const auto& memory = shown.seen.memory) {
    constexpr double mib = 1048576;
    const double end = static_cast<double>(memory->end) / mib;
    const double grown = end - static_cast<double>(memory->prepared) / mib;
    into.figure("memory",
                fmt::format("{:.2f} MiB of the server's, {:+.2f} while it was loaded", end, grown));
  }
}

void add_burst(rows& into, const report& shown) {
  if (shown.found.drains.empty()) return;
  const interval drain = shown.drain_ns();
  into.add("rounds", fmt::format("{} of {}", shown.found.drains.size(), shown.asked.connections));
  into.figure("drained in", fmt::format("{} ({} to {})", short_time(drain.median),
                                        short_time(drain.low), short_time(drain.high)));
}

}  // namespace

std::string to_table(const report& shown, const std::vector<finding>& flaws) {
  const load_result& found = shown.found;
  rows all(flaws.empty());
  for (const finding& one : flaws) {
    all.add("INVALID", fmt::format("{}: {}", name_of(one.what), one.reason));
  }
  const bool measured = found.elapsed.count() > 0;
  if (measured) {
    all.figure("completed",
               fmt::format("{} ({:.0f} per second)", found.completed, shown.per_second()));
    all.add("errors", errors_text(found.errors, found.other_errno));
    if (!shown.command.empty()) {
      all.add("lost", fmt::format("{}", shown.lost()));
      all.add("command ran", runs_text(shown.runs));
    }
  } else {
    all.add("measured", "nothing");
  }
  if (total(found.errors_before) != 0) {
    all.add("before", errors_text(found.errors_before, found.other_errno) +
                          " while connecting and warming up");
  }
  if (found.unfinished != 0) all.add("unfinished", fmt::format("{} at the end", found.unfinished));
  add_burst(all, shown);
  add_times(all, found);
  if (measured) add_cpu(all, shown);
  if (measured) add_beside(all, shown);
  return heading(shown) + all.text();
}

}  // namespace hinge::bench
