#include "backend_probe.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>

#include "fixed_text.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

bool may_pass(int code) noexcept {
  constexpr std::array passing = {ENOMEM, ENOBUFS, EMFILE,    ENFILE,
                                  EAGAIN, EINTR,   ETIMEDOUT, ECHILD};
  return std::find(passing.begin(), passing.end(), code) != passing.end();
}

/// A limit of the process that a call runs into with an errno, unless a privilege lifts it.
struct limit_met {
  int code;
  std::string_view calls;  // their beginning
  const char* name;
  int which;
  privilege lifted_by = privilege::none;
};
constexpr std::array<limit_met, 3> limits_met = {{
    {ENOMEM, "io_uring_", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, privilege::lock_memory},
    {EMFILE, "", "RLIMIT_NOFILE", RLIMIT_NOFILE},
    {EAGAIN, "clone", "RLIMIT_NPROC", RLIMIT_NPROC, privilege::have_more},
}};

}  // namespace

void look_around(backend_verdict& refused) noexcept {
  // The last character stays null.
  refused.circumstances = {};
  text_writer out(std::span(refused.circumstances).first(refused.circumstances.size() - 1));
  const error& refusal = refused.usable.error();
  for (const limit_met& one : limits_met) {
    rlimit limit;
    if (refusal.code() == one.code && std::string_view(refusal.call()).starts_with(one.calls) &&
        !is_privileged(one.lifted_by) && sys::getrlimit(one.which, &limit) >= 0 &&
        limit.rlim_cur != RLIM_INFINITY)
      out.add(out.view().empty() ? "" : ", ", one.name, '=', limit.rlim_cur);
  }
  tell_confinement(out, refusal);
}

remembered_verdict::memory& remembered_verdict::own() const noexcept {
  thread_local std::array<memory, backend_count + 1> of_this_thread;
  return of_this_thread[static_cast<std::size_t>(of_)];
}

void remembered_verdict::ask(backend_verdict& into,
                             void (*test)(backend_verdict& into) noexcept) noexcept {
  const std::optional<confinement> here = confinement_here();
  const auto recall = [&](const memory& from) {
    const bool holds = here && from.under == here;
    if (holds) into = from.known;
    return holds;
  };
  if (recall(own())) return;
  const bool shares = here && here->as_begun;
  std::unique_lock lock(guard_, std::defer_lock);
  if (shares) lock.lock();
  if (!shares || !recall(shared_)) {
    test(into);
    if (!into.usable) look_around(into);
  }
  if (!here || (!into.usable && may_pass(into.usable.error().code()))) return;
  own() = {.under = here, .known = into};
  if (shares) shared_ = own();
}

void remembered_verdict::forget() noexcept {
  const std::lock_guard lock(guard_);
  own().under.reset();
  shared_.under.reset();
}

}  // namespace hinge
