#include "figure.hpp"

#include <fmt/format.h>

#include "markup.hpp"

namespace hinge::bench {

void legend::add(std::string_view look, std::string_view name) {
  items_ += fmt::format(R"(<li><svg class="sample" viewBox="0 0 32 8" aria-hidden="true">)"
                        R"(<polyline class="{}" points="1,4 31,4"/></svg>{}</li>)",
                        look, escaped(name));
}

std::string legend::html() const {
  return items_.empty() ? "" : fmt::format("<ul class=\"legend\">{}</ul>\n", items_);
}

std::string figure(std::string_view heading, std::string_view explanation, std::string_view legend,
                   std::string_view plot, std::string_view below) {
  return fmt::format(
      "<figure>\n<figcaption><h2>{}</h2><p>{}</p></figcaption>\n{}{}<p class=\"below\">{}</p>\n"
      "</figure>\n",
      escaped(heading), escaped(explanation), legend, plot, escaped(below));
}

}  // namespace hinge::bench
