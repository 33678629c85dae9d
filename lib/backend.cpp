#include <hinge/backend.hpp>

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>

#include "sys.hpp"
#ifdef HINGE_HAVE_URING
#include "uring_probe.hpp"
#endif

namespace hinge {

namespace {

/// One row a backend: what it is, its name here, and what the system calls it. The preferred one
/// first.
struct row {
  backend which;
  std::string_view name;
  std::string_view system_name;
};
constexpr std::array<row, 2> rows = {{
    {backend::io_uring, "uring", "io_uring"},
    {backend::epoll, "epoll", "epoll"},
}};
constexpr std::string_view automatic_name = "auto";

#ifdef HINGE_HAVE_URING
constexpr std::array built = {backend::io_uring, backend::epoll};
#else
constexpr std::array built = {backend::epoll};
result<void> uring_verdict() noexcept { return fail("backend", "uring: not built", EINVAL); }
#endif

std::string_view system_name_of(backend which) noexcept {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const row& one) { return one.which == which; });
  return found == rows.end() ? automatic_name : found->system_name;
}

/// What an errno of io_uring_setup(2) means as a rule; empty where the errno says it.
std::string_view cause_of(int code) noexcept {
  switch (code) {
    case EPERM:
    case EACCES:
      return " (kernel.io_uring_disabled, or a seccomp filter)";
    case ENOSYS:
      return " (a kernel without io_uring, or a seccomp filter)";
    case ENOMEM:
      return " (or RLIMIT_MEMLOCK is short)";
    default:
      return "";
  }
}

std::string kernel() {
  utsname system;
  if (sys::uname(&system) < 0) return "this kernel";
  return std::string(system.sysname).append(" ").append(system.release);
}

}  // namespace

std::string_view backend_name(backend which) noexcept {
  if (which == backend::automatic) return automatic_name;
  for (const row& one : rows)
    if (one.which == which) return one.name;
  return "unknown";
}

std::optional<backend> backend_named(std::string_view name) noexcept {
  if (name == automatic_name) return backend::automatic;
  for (const row& one : rows)
    if (one.name == name) return one.which;
  return {};
}

std::span<const backend> built_backends() noexcept { return built; }

std::string backend_verdict::text() const {
  if (!built) return "not built";
  if (!usable) {
    const error& refusal = usable.error();
    std::string said = "refused: " + refusal.text();
    if (std::string_view(refusal.call()) == "io_uring_setup") said += cause_of(refusal.code());
    return said;
  }
  return which == backend::io_uring ? "self-test passed on " + kernel() : "usable";
}

std::string backend_choice::text() const {
  const backend_verdict& preferred = candidates.front();
  std::string said(system_name_of(chosen));
  said += ": ";
  if (preferred.which != chosen) said.append(system_name_of(preferred.which)).append(" ");
  return said += preferred.text();
}

backend_choice backend_report() noexcept {
  backend_choice made;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    backend_verdict& one = made.candidates[i];
    one.which = rows[i].which;
    one.built = std::find(built.begin(), built.end(), one.which) != built.end();
    if (one.which == backend::io_uring) one.usable = uring_verdict();
    if (one.usable && made.chosen == backend::automatic) made.chosen = one.which;
  }
  return made;
}

}  // namespace hinge
