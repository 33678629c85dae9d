#include "stored_result.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hinge::bench {

namespace {

using json = nlohmann::ordered_json;

/// A member, or null when there is none.
const json& member(const json& from, const char* name) {
  static const json none;
  const auto found = from.find(name);
  return found == from.end() ? none : *found;
}

std::optional<double> number(const json& from, const char* name) {
  const json& found = member(from, name);
  return found.is_null() ? std::optional<double>() : found.get<double>();
}

std::string text_of(const json& value) {
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

stored_texts texts(const json& from) {
  stored_texts all;
  for (const auto& [name, value] : from.items()) {
    if (!value.is_null()) all.emplace_back(name, text_of(value));
  }
  return all;
}

stored_counts counts(const json& from) {
  stored_counts all;
  for (const auto& [name, value] : from.items()) {
    if (const auto count = value.get<std::int64_t>(); count != 0) all.emplace_back(name, count);
  }
  return all;
}

/// Those of several works together.
void add(stored_counts& into, const stored_counts& more) {
  for (const auto& [name, count] : more) {
    const auto known = std::find_if(into.begin(), into.end(),
                                    [&name = name](const auto& one) { return one.first == name; });
    if (known == into.end()) {
      into.emplace_back(name, count);
    } else {
      known->second += count;
    }
  }
}

stored_times times(const json& from) {
  stored_times all;
  for (const auto& [name, value] : from.items()) {
    if (value.is_number()) all.named.emplace_back(name, value.get<double>());
  }
  for (const json& point : member(from, "curve")) {
    all.curve.push_back({point.at(0), point.at(1), point.at(2)});
  }
  return all;
}

stored_figures figures(const json& from) {
  stored_figures all;
  all.per_second = from.at("per_second");
  all.per_second_low = from.at("per_second_interval").at(0);
  all.per_second_high = from.at("per_second_interval").at(1);
  all.completed = from.at("completed");
  all.unfinished = from.at("unfinished");
  all.errors = counts(from.at("errors"));
  all.latency = times(from.at("latency_ns"));
  all.service = times(from.at("service_ns"));
  all.client_cpu_share = number(from, "client_cpu_share");
  all.server_cpu_share = number(from, "server_cpu_share");
  all.server_us_per_operation = number(from, "server_cpu_us_per_operation");
  return all;
}

void read_asked(stored_result& into, const json& asked) {
  into.asked = texts(asked);
  into.workload = asked.at("workload");
  into.subject = asked.at("target");
  if (!member(asked, "backend").is_null()) {
    into.subject += fmt::format(", here on {}", asked["backend"].get<std::string>());
  }
}

void read_verdict(stored_result& into, const json& verdict, const std::string& of = {}) {
  into.valid = into.valid && verdict.at("valid").get<bool>();
  for (const json& one : verdict.at("flaws")) {
    into.flaws.emplace_back(one.at("kind"), of + one.at("reason").get<std::string>());
  }
}

void read_load(stored_result& into, const json& all) {
  read_verdict(into, all.at("verdict"));
  into.interrupted = all.at("interrupted");
  read_asked(into, all.at("asked"));
  for (const char* found : {"figures", "void_figures"}) {
    if (!all.at(found).is_null()) into.figures = figures(all[found]);
  }
  const json& restart = member(all, "restart");
  if (!restart.is_null()) into.lost = restart.at("lost");
  into.kernel = counts(all.at("kernel"));
  into.environment = texts(all.at("environment"));
}

void read_sweep(stored_result& into, const json& all) {
  for (const json& step : all.at("steps")) {
    stored_result load;
    read_load(load, step.at("report"));
    into.sweep.push_back({step["report"]["asked"].at("rate"),
                          load.figures ? load.figures->per_second : 0, load.valid,
                          load.figures ? load.figures->latency : stored_times()});
    if (into.sweep.size() > 1) continue;
    into.workload = load.workload + " sweep";
    into.subject = load.subject;
    into.environment = load.environment;
  }
  std::stable_sort(into.sweep.begin(), into.sweep.end(),
                   [](const auto& a, const auto& b) { return a.offered < b.offered; });
  into.valid = all.at("answered");
  if (!into.valid) into.flaws.emplace_back("no answer", all.at("end"));
  if (!all.at("bound").is_null()) into.knee = number(all, "highest");
  into.asked = {
      {"rates", fmt::format("{} to {}", all.at("from").get<double>(), all.at("to").get<double>())}};
}

void read_comparison(stored_result& into, const json& all) {
  for (const json& work : all.at("comparisons")) {
    const std::string name = work.at("work");
    read_verdict(into, work.at("verdict"), name + ": ");
    const bool valid = work["verdict"]["valid"];
    for (const json& one : work.at(valid ? "figures" : "void_figures")) {
      into.comparison.push_back({one.at("candidate"), one.at("reference"),
                                 name + ", " + one.at("measure").get<std::string>(),
                                 one.at("ratio"), one.at("low"), one.at("high"), one.at("control"),
                                 valid});
    }
    add(into.kernel, counts(work.at("kernel")));
    for (const json& one : work.at("counted")) {
      into.counted.push_back({name + ", " + one.at("name").get<std::string>(), {}});
      for (const auto& [kind, value] : one.items()) {
        if (value.is_number()) into.counted.back().values.emplace_back(kind, text_of(value));
      }
    }
  }
  into.workload = "compare";
  for (const json& one : all.at("asked").at("names")) {
    into.subject += (into.subject.empty() ? "" : ", ") + one.get<std::string>();
  }
  into.interrupted = all.at("interrupted");
  into.asked = texts(all["asked"]);
  into.environment = texts(all.at("environment"));
}

/// hinge-serve's, which has no verdict.
void read_statistics(stored_result& into, const json& all) {
  for (const json& one : all.at("loops")) {
    into.loops.push_back({std::to_string(into.loops.size()), one.at("accepted")});
  }
  into.judged = false;
  into.workload = "hinge-serve";
  into.subject = all.at("backend");
}

void read(stored_result& into, const json& all) {
  if (all.is_object() && !all.contains("format") && all.contains("loops"))
    return read_statistics(into, all);
  if (!all.is_object() || !member(all, "format").is_string())
    throw stored_error("isn't a result of hinge-bench");
  const std::string format = all["format"];
  if (format == "hinge-bench/2") return read_load(into, all);
  if (format == "hinge-bench-sweep/1") return read_sweep(into, all);
  if (format == "hinge-bench-compare/1") return read_comparison(into, all);
  throw stored_error(fmt::format("is of the format {}, which isn't known", format));
}

}  // namespace

std::optional<double> stored_times::at(std::string_view name) const noexcept {
  const auto found = std::find_if(named.begin(), named.end(),
                                  [name](const auto& one) { return one.first == name; });
  return found == named.end() ? std::optional<double>() : found->second;
}

stored_result read_stored(std::string name, const std::string& text) {
  stored_result result;
  try {
    read(result, json::parse(text));
  } catch (const json::exception& wrong) {
    throw stored_error(fmt::format("isn't a result of hinge-bench: {}", wrong.what()));
  }
  result.name = name.empty() ? name_of(result) : std::move(name);
  return result;
}

std::string name_of(const stored_result& result) {
  return result.workload + (result.subject.empty() ? "" : " ") + result.subject;
}

}  // namespace hinge::bench
