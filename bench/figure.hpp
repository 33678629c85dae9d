// What stands around a plot on the page: heading, explanation, legend.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace hinge::bench {

/// The least and the greatest of what was added.
struct range {
  double low = 0;
  double high = 0;
  bool any = false;

  void add(double value) noexcept {
    low = any ? std::min(low, value) : value;
    high = any ? std::max(high, value) : value;
    any = true;
  }
};

inline constexpr std::size_t colours = 6;  // of the style sheet
/// The class of the n-th colour; they come again.
inline std::string colour_of(std::size_t n) { return "c" + std::to_string(n % colours); }

/// Samples of lines, and what they stand for.
class legend {
public:
  void add(std::string_view look, std::string_view name);
  std::string html() const;  ///< nothing, of nothing

private:
  std::string items_;
};

/// `legend` and `plot` are HTML, the others text; `below` says what the horizontal axis is.
std::string figure(std::string_view heading, std::string_view explanation, std::string_view legend,
                   std::string_view plot, std::string_view below);

}  // namespace hinge::bench
