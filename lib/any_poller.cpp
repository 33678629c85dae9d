#include <hinge/any_poller.hpp>

#include <algorithm>
#include <cerrno>

#include "backend_table.hpp"
#include "fixed_text.hpp"

namespace hinge {

result<any_poller> any_poller::of(const backend_list& wanted) noexcept {
  if (wanted.size() == 0) return fail("backend", "unknown", EINVAL);
  const std::string_view name = backend_name(*wanted.begin());
  if (std::none_of(wanted.begin(), wanted.end(),
                   [](backend one) { return row_of(one)->make != nullptr; }))
    return fail("backend", fixed_text<32>().add(name, ": not built").view(), EINVAL);
  any_poller made;
  made.wanted_ = wanted;
  if (wanted.size() != 1) return made;
  made = row_of(*wanted.begin())->make();
  if (!made) return fail("backend", name, ENOMEM);
  return made;
}

result<void> any_poller::open_preferred(const poller_options& options) noexcept {
  result<void> refused;
  const auto refuse = [&](const result<void>& with) {
    if (refused) refused = with;
  };
  const backend_choice found = backend_report(wanted_);
  for (const backend_verdict& one : found.candidates()) {
    if (!one.usable) {
      if (one.built) refuse(one.usable);
      continue;
    }
    result<any_poller> made = of(one.which);
    if (!made) return fail(made);
    const result<void> opened = made->open(options);
    if (opened) {
      *this = std::move(*made);
      return {};
    }
    // An option that is wrong is no reason to do without it.
    if (opened.error().code() == EINVAL) return opened;
    refuse(opened);
  }
  return refused;
}

}  // namespace hinge
