#include <hinge/backend.hpp>

#ifdef HINGE_HAVE_EPOLL
#include <hinge/epoll.hpp>
#endif
#ifdef HINGE_HAVE_KQUEUE
#include <hinge/kqueue.hpp>
#endif

#include <algorithm>
#include <cerrno>

#include "backend_probe.hpp"
#include "backend_table.hpp"
#include "fixed_text.hpp"
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>

#include "uring_probe.hpp"
#endif

namespace hinge {

namespace {

/// The preferred one first.
constexpr std::array rows = {
#ifdef HINGE_HAVE_URING
    backend_row{backend::io_uring, "uring", "io_uring", &any_poller::make<uring_poller>,
                &ask_uring},
#else
    backend_row{backend::io_uring, "uring", "io_uring"},
#endif
#ifdef HINGE_HAVE_EPOLL
    backend_row{backend::epoll, "epoll", "epoll", &any_poller::make<epoll_poller>, &ask_epoll},
#else
    backend_row{backend::epoll, "epoll", "epoll"},
#endif
#ifdef HINGE_HAVE_KQUEUE
    backend_row{backend::kqueue, "kqueue", "kqueue", &any_poller::make<kqueue_poller>, &ask_kqueue},
#else
    backend_row{backend::kqueue, "kqueue", "kqueue"},
#endif
};
static_assert(rows.size() == backend_count);
constexpr std::string_view automatic_name = "auto";

constexpr std::size_t built_count = static_cast<std::size_t>(std::count_if(
    rows.begin(), rows.end(), [](const backend_row& one) { return one.make != nullptr; }));
constexpr auto built = [] {
  std::array<backend, built_count> in_order{};
  auto next = in_order.begin();
  for (const backend_row& one : rows)
    if (one.make != nullptr) *next++ = one.which;
  return in_order;
}();

}  // namespace

const backend_row* row_of(backend which) noexcept {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.which == which; });
  return found == rows.end() ? nullptr : &*found;
}

namespace {

std::string_view system_name(backend which) noexcept {
  const backend_row* const row = row_of(which);
  return row == nullptr ? backend_name(which) : row->system_name;
}

}  // namespace

std::string_view backend_name(backend which) noexcept {
  if (which == backend::automatic) return automatic_name;
  const backend_row* const row = row_of(which);
  return row == nullptr ? "unknown" : row->name;
}

std::optional<backend> backend_named(std::string_view name) noexcept {
  if (name == automatic_name) return backend::automatic;
  for (const backend_row& one : rows)
    if (one.name == name) return one.which;
  return {};
}

std::span<const backend> built_backends() noexcept { return built; }

// --- which are wanted ----------------------------------------------------------------------------

backend_list::backend_list(backend which) noexcept { add(which); }

backend_list::backend_list(std::span<const backend> wanted) noexcept {
  for (const backend one : wanted) add(one);
}

void backend_list::add(backend which) noexcept {
  if (which == backend::automatic) {
    for (const backend_row& one : rows) add(one.which);
  } else if (row_of(which) != nullptr && std::find(begin(), end(), which) == end()) {
    wanted_[size_++] = which;
  }
}

result<backend_list> backend_list::parse(std::string_view names) noexcept {
  backend_list made(std::span<const backend>{});
  for (bool more = true; more;) {
    const std::size_t comma = std::min(names.find(','), names.size());
    const std::string_view name = names.substr(0, comma);
    const auto which = backend_named(name);
    if (!which) return fail("backend", name, EINVAL);
    made.add(*which);
    more = comma != names.size();
    names.remove_prefix(more ? comma + 1 : comma);
  }
  return made;
}

// --- what becomes of them ------------------------------------------------------------------------

std::string backend_verdict::text() const {
  const std::string_view around = circumstances.data();
  if (!built) return "not built";
  if (usable && around.empty()) return "usable";
  std::string said;
  if (usable) return said.append("self-test passed on ").append(around);
  const error& refusal = usable.error();
  const std::string_view call = refusal.call();
  // The backend's own sentence.
  if (call == std::string(system_name(which)).append(":")) {
    said = refusal.argument();
  } else {
    said.append("refused: ").append(errno_name(refusal.code()));
    if (call != "io_uring_setup") said.append(" at ").append(call);
    // A call needs no more than its name.
    if (call.find_first_of(": ") != call.npos) said.append(" ").append(refusal.argument());
  }
  if (!around.empty()) said.append(", ").append(around);
  return said;
}

std::string backend_verdict::line() const {
  return std::string(system_name(which)).append(": ").append(text());
}

void backend_choice::add(const backend_verdict& next) noexcept {
  if (size_ == verdicts_.size()) return;
  verdicts_[size_++] = next;
  if (next.built && next.usable && chosen_ == backend::automatic) chosen_ = next.which;
}

bool backend_choice::fell_back() const noexcept {
  for (const backend_verdict& one : candidates()) {
    if (one.which == chosen_) return false;
    if (one.built) return true;
  }
  return false;
}

std::string backend_choice::text() const {
  std::string taken = "no backend can be used";
  std::string preferred;
  for (const backend_verdict& one : candidates()) {
    if (one.which == chosen_) {
      taken = one.line();
      break;
    }
    preferred.append(preferred.empty() ? " (" : "; ").append(one.line());
  }
  if (!preferred.empty()) taken.append(preferred).append(")");
  return taken;
}

backend_verdict verdict_on(backend which) noexcept {
  const backend_row& row = *row_of(which);
  backend_verdict said{.which = which, .built = row.make != nullptr};
  if (said.built)
    row.ask(said);
  else
    said.usable = fail("backend", fixed_text<32>().add(row.name, ": not built").view(), EINVAL);
  return said;
}

backend_choice backend_report(const backend_list& wanted) noexcept {
  backend_choice made;
  for (const backend which : wanted) made.add(verdict_on(which));
  return made;
}

}  // namespace hinge
