#include <hinge/any_poller.hpp>

#include <hinge/probe.hpp>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "backend_probe.hpp"
#include "backend_table.hpp"
#include "fixed_text.hpp"

namespace hinge {

result<any_poller> any_poller::of(const backend_list& wanted) noexcept {
  if (wanted.size() == 0) return fail("backend", "unknown", EINVAL);
  if (std::none_of(wanted.begin(), wanted.end(),
                   [](backend one) { return row_of(one)->make != nullptr; })) {
    fixed_text<error::argument_capacity> said;
    for (const backend one : wanted)
      said.add(said.view().empty() ? "" : "; ", backend_name(one), ": not built");
    return fail("backend", said.view(), EINVAL);
  }
  any_poller made;
  if (wanted.size() == 1) {
    made = row_of(*wanted.begin())->make();
    if (!made) return fail("backend", backend_name(*wanted.begin()), ENOMEM);
  }
  made.wanted_ = wanted;
  return made;
}

namespace {

/// Rather than about a system call, which has its own name.
bool is_about_an_option(const error& refusal) noexcept {
  return refusal.code() == EINVAL && std::string_view(refusal.call()).starts_with("open ");
}

/// Of several what each has said, with the code of the first that is in this build.
result<void> refusal_of(const backend_choice& choice) noexcept {
  fixed_text<error::argument_capacity> said;
  const result<void>* first = nullptr;
  for (const backend_verdict& one : choice.candidates()) {
    said.add(said.view().empty() ? "" : "; ", std::string_view(one.line()));
    if (one.built && first == nullptr) first = &one.usable;
  }
  if (choice.candidates().size() == 1) return *first;
  return fail("backend", said.view(), first->error().code());
}

/// The names are literals, and end with a 0.
void tell_fallback([[maybe_unused]] const backend_choice& choice) noexcept {
  [[maybe_unused]] const auto refused =
      std::ranges::find_if(choice.candidates(), &backend_verdict::built);
  HINGE_PROBE2(fallback, backend_name(refused->which).data(), backend_name(choice.chosen()).data());
}

}  // namespace

result<void> any_poller::open_preferred(const poller_options& options) noexcept {
  backend_choice found;
  choice_ = {};
  const bool only = object_ != nullptr;
  for (const backend which : wanted_) {
    backend_verdict said{.which = which, .built = true};
    any_poller made;
    // To try takes calls that an epoll alone has to do without (see backend_report()).
    if (!only || which != backend::epoll) said = verdict_on(which);
    if (!only && said.usable) made = row_of(which)->make();
    if (said.usable) {
      any_poller& tried = only ? *this : made;
      said.usable = fail("backend", backend_name(which), ENOMEM);
      if (tried) said.usable = tried.calls_->open(tried.object_.get(), options);
      if (!said.usable) {
        // An option that is wrong is no reason to do without it.
        if (is_about_an_option(said.usable.error())) return said.usable;
        look_around(said);
      }
    }
    found.add(said);
    if (!said.usable) continue;
    if (!only) *this = std::move(made);
    choice_ = found;
    if (found.fell_back()) tell_fallback(found);
    return {};
  }
  choice_ = found;
  return refusal_of(found);
}

}  // namespace hinge
