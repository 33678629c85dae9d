// What a program says on standard error.
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>

#include "output.hpp"

namespace hinge {

/// As fmt::print, which throws when it can't write: what nobody can read is no reason to end.
template <class... Values>
void print_error(fmt::format_string<Values...> form, Values&&... values) {
  const std::string text = fmt::format(form, std::forward<Values>(values)...);
  write_at_once(STDERR_FILENO, text);
}

}  // namespace hinge
