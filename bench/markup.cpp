#include "markup.hpp"

#include <cmath>

#include <fmt/format.h>

#include "report.hpp"

namespace hinge::bench {

namespace {

constexpr std::string_view no_break = "\u202f";  // narrow

}  // namespace

std::string escaped(std::string_view text) {
  std::string copy;
  for (const char one : text) {
    switch (one) {
      case '&':
        copy += "&amp;";
        break;
      case '<':
        copy += "&lt;";
        break;
      case '>':
        copy += "&gt;";
        break;
      case '"':
        copy += "&quot;";
        break;
      default:
        copy += one;
    }
  }
  return copy;
}

std::string share_text(double share) { return fmt::format("{:.3f}%", 100 * share); }

std::string count_text(double count) {
  std::string digits = fmt::format("{:.0f}", count);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, no_break);
  return digits;
}

std::string rate_text(double per_second) {
  if (per_second < 1e4) return fmt::format("{:.4g}", per_second);
  if (per_second < 999.5e3) return fmt::format("{:.3g}k", per_second / 1e3);
  return fmt::format("{:.3g}M", per_second / 1e6);
}

std::string time_text(double nanoseconds) {
  std::string text = short_time(nanoseconds);
  text.replace(text.find(' '), 1, no_break);
  if (const std::size_t micro = text.find("us"); micro != text.npos) text.replace(micro, 1, "µ");
  return text;
}

std::string tick_text(double nanoseconds) {
  std::string text = time_text(nanoseconds);
  const std::size_t unit = text.find(no_break);
  if (text.find('.') > unit) return text;
  const std::size_t kept = text.find_last_not_of('0', unit - 1);
  return text.erase(text[kept] == '.' ? kept : kept + 1, unit - 1 - kept + (text[kept] == '.'));
}

}  // namespace hinge::bench
