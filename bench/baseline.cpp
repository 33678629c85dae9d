#include "baseline.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hinge::bench {

namespace {

using stored = nlohmann::json;

constexpr double most_more = 1.01;
constexpr double of_no_account = 0.01;  // a call or packet at the ends of the counted run

/// The element whose `key` is `value`, or null.
const stored& find(const stored& list, const char* key, std::string_view value) {
  static const stored none;
  for (const stored& one : list) {
    if (one.at(key) == value) return one;
  }
  return none;
}

class holding {
public:
  explicit holding(const comparison_report& now) : now_(now) {}

  void against(const stored& old) {
    for (const comparison& one : now_.found) {
      const stored& before = find(old.at("comparisons"), "work", name_of(one.work));
      if (before.is_null()) continue;
      if (one.flaws.empty() && before.at("way") == one.way && !before.at("figures").is_null())
        ratios(one, before.at("figures"));
      counted_of(one, before.at("counted"));
    }
    if (looked_at_ == 0) throw std::runtime_error("it has nothing that was measured now, too");
  }

  std::vector<std::string> worse;

private:
  void ratios(const comparison& one, const stored& before) {
    const std::string& figure = one.figures.front();
    for (std::size_t who = 1; who < now_.asked.names.size(); ++who) {
      const std::string& name = now_.asked.names[who];
      for (const stored& row : before) {
        if (row.at("candidate") != name || row.at("measure") != figure) continue;
        ++looked_at_;
        const interval& ratio = one.found[who].front().ratio;
        const double high = row.at("high");
        if (ratio.low <= high) continue;
        worse.push_back(
            fmt::format("{}, {}, {}: the ratio is {:.3f} .. {:.3f}, and was {:.3f} at most",
                        name_of(one.work), name, figure, ratio.low, ratio.high, high));
      }
    }
  }

  void counted_of(const comparison& one, const stored& before) {
    for (std::size_t who = 0; who < one.counted.size(); ++who) {
      const stored& row = find(before, "name", now_.asked.names[who]);
      for (std::size_t i = 0; i < counted_kinds && !row.is_null(); ++i) {
        const std::string kind(name_of(static_cast<counted>(i)));
        const auto& each = one.counted[who][i].each;
        if (!each || !row.at(kind).is_number()) continue;
        ++looked_at_;
        const double old = row.at(kind);
        if (*each <= old * most_more + of_no_account) continue;
        worse.push_back(fmt::format("{}, {}, {}: {:.2f}, and was {:.2f}", name_of(one.work),
                                    now_.asked.names[who], kind, *each, old));
      }
    }
  }

  const comparison_report& now_;
  std::size_t looked_at_ = 0;
};

}  // namespace

std::vector<std::string> regressions(const std::string& text, const comparison_report& now) {
  try {
    const stored old = stored::parse(text);
    if (old.at("format") != "hinge-bench-compare/1")
      throw std::runtime_error("it isn't of the format hinge-bench-compare/1");
    if (old.at("asked").at("names").at(0) != now.asked.names.front())
      throw std::runtime_error("its reference is another one");
    holding held(now);
    held.against(old);
    return held.worse;
  } catch (const stored::exception& wrong) {
    throw std::runtime_error(fmt::format("it is no report of a comparison: {}", wrong.what()));
  }
}

}  // namespace hinge::bench
