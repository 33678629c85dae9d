// What a comparison has found, for people and programs. Figures that aren't valid are never plain
// numbers: a table calls them void, JSON has them under another name, and the others leave them
// out. What was counted holds all the same.
#pragma once

#include <string>
#include <vector>

#include "comparison.hpp"
#include "environment.hpp"

namespace hinge::bench {

struct comparison_report {
  compare_options asked;
  std::vector<comparison> found;
  environment here = {};
  bool interrupted = false;

  bool valid() const;
};

/// "uring", and "epoll again" for the control, which comes behind the contenders.
std::string row_name(const comparison_report& shown, std::size_t who);

std::string to_table(const comparison_report& shown);
/// One object, whose format is docs/hinge-bench-compare.schema.json.
std::string to_json(const comparison_report& shown);
/// A line of names, and one for each figure of each contender at each work.
std::string to_csv(const comparison_report& shown);
std::string to_markdown(const comparison_report& shown);

}  // namespace hinge::bench
