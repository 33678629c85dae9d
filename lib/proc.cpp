// By files, and not by prctl(2), capget(2) and uname(2): a filter need not permit those, and may
// kill for them.
#include "proc.hpp"

#include <hinge/fd.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "confinement.hpp"
#include "fixed_text.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

/// What a file of the kernel's says behind `key`, up to the line's end; empty when it isn't there.
/// The file may be long: the groups of a process stand before its filters.
class kernel_text {
public:
  kernel_text(const char* path, std::string_view key) noexcept {
    const unique_fd file(sys::open(path, O_RDONLY | O_CLOEXEC));
    if (!file) return;
    for (std::size_t kept = 0;;) {
      const ssize_t got = sys::read(file.get(), room_.data() + kept, room_.size() - kept);
      const std::string_view text(room_.data(), kept + static_cast<std::size_t>(got < 0 ? 0 : got));
      const std::size_t found = text.find(key);
      const std::size_t from = found == text.npos ? text.npos : found + key.size();
      const std::size_t end = from == text.npos ? text.npos : text.find('\n', from);
      if (end != text.npos || got <= 0) {
        if (from != text.npos) found_ = text.substr(from, end - from);
        return;
      }
      // What has not ended yet; of a line that is no key's, as much as might be one's beginning.
      kept = std::min(found == text.npos ? key.size() : text.size() - found, text.size());
      if (kept == room_.size()) return;
      std::copy(text.end() - static_cast<std::ptrdiff_t>(kept), text.end(), room_.begin());
    }
  }
  kernel_text(const kernel_text&) = delete;
  kernel_text& operator=(const kernel_text&) = delete;

  std::string_view view() const noexcept { return found_; }
  template <class Number>
  std::optional<Number> number(int base = 10) const noexcept {
    Number read{};
    const auto [end, failed] =
        std::from_chars(found_.data(), found_.data() + found_.size(), read, base);
    if (failed != std::errc()) return {};
    return read;
  }

private:
  std::array<char, 4096> room_;
  std::string_view found_;
};

constexpr const char* own_status = "/proc/thread-self/status";

int uring_disabled() noexcept {
  return kernel_text("/proc/sys/kernel/io_uring_disabled", "").number<int>().value_or(-1);
}

std::uint64_t capabilities() noexcept {
  return kernel_text(own_status, "\nCapEff:\t").number<std::uint64_t>(16).value_or(0);
}

/// How many filters the calling thread has. Before Linux 5.9 it is only told whether it has any.
std::optional<std::uint64_t> filters() noexcept {
  const auto counted = kernel_text(own_status, "\nSeccomp_filters:\t").number<std::uint64_t>();
  if (counted || seccomp_mode() != 0) return counted;
  return 0;
}

/// What whoever started the process (a container's runtime, a service manager) has put on it.
/// Counted before main(), since a filter of the first thread's own could not be told from those.
const std::optional<std::uint64_t> filters_at_start = filters();

}  // namespace

int seccomp_mode() noexcept {
  return kernel_text(own_status, "\nSeccomp:\t").number<int>().value_or(-1);
}

void add_kernel(text_writer& out) noexcept {
  const kernel_text release("/proc/sys/kernel/osrelease", "");
  out.add(release.view().empty() ? "this kernel" : "Linux ", release.view());
}

std::optional<confinement> confinement_here() noexcept {
  const std::optional<std::uint64_t> filtered = filters();
  if (!filtered) return {};
  return confinement{.as_begun = filtered == filters_at_start,
                     .filters = *filtered,
                     .capabilities = capabilities(),
                     .switched_off = uring_disabled()};
}

bool is_privileged(privilege one) noexcept {
  // By the numbers of capabilities(7): CAP_IPC_LOCK, CAP_SYS_RESOURCE.
  constexpr int lock_memory = 14;
  constexpr int have_more = 24;
  if (one == privilege::none) return false;
  return capabilities() >> (one == privilege::lock_memory ? lock_memory : have_more) & 1;
}

void tell_confinement(text_writer& out, const error& refusal) noexcept {
  const auto next = [&]() -> text_writer& { return out.add(out.view().empty() ? "" : ", "); };
  const bool of_ring = std::string_view(refusal.call()) == "io_uring_setup";
  if (const int off = uring_disabled(); refusal.code() == EPERM && of_ring && off > 0)
    next().add("kernel.io_uring_disabled=", off);
  if (seccomp_mode() == seccomp_filtered) next().add("seccomp mode 2");
}

}  // namespace hinge
