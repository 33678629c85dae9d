// Variables that are meant for this process alone.
#pragma once

#include <stdlib.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace hinge {

/// Its value, and it is set no more. Not thread-safe (unsetenv(3)).
inline std::optional<std::string> take_variable(const char* name) noexcept {
  const char* const text = getenv(name);
  if (text == nullptr) return {};
  std::optional<std::string> taken(text);
  unsetenv(name);
  return taken;
}

/// No sign, no blank, nothing behind it.
template <class Number>
std::optional<Number> number_of(std::string_view text) noexcept {
  Number number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

}  // namespace hinge
