// A plot as inline SVG: a field with grid lines, labelled axes, lines and marks. Places are shares
// of the field, so that it stretches to the page and its text doesn't.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "axis.hpp"

namespace hinge::bench {

/// Shares of the field, from its left and from its lower end.
struct place {
  double x;
  double y;
};

class svg_plot {
public:
  /// `kind` names it for programs (data-plot), `what` for who can't see it.
  svg_plot(std::string_view kind, std::string_view what);

  void horizontal(const axis& labelled);
  void vertical(const axis& labelled);
  /// Those of a horizontal axis without its labels.
  void lines_across(const axis& along);

  // `look` is one class or more of the style sheet; `data` further attributes, as they are.

  void line(const std::vector<place>& through, std::string_view look, std::string_view data = {});
  /// A round mark; `tells` is shown to who points at it.
  void mark(place at, std::string_view look, std::string_view tells, std::string_view data);
  /// From the lower end up to `height`.
  void column(double left, double width, double height, std::string_view look,
              std::string_view tells, std::string_view data);
  /// `anchor`: which part of the text stands there: start, middle or end.
  void text(place at, std::string_view anchor, std::string_view look, std::string_view text);

  /// `look`: the class that says how large it is.
  std::string html(std::string_view look = "field") const;

private:
  std::string head_;
  std::string below_;  // what the lines lie upon
  std::string lines_;
  std::string above_;
};

}  // namespace hinge::bench
