#include <hinge/accept_policy.hpp>

#include <array>

namespace hinge {

namespace {

constexpr std::array<std::string_view, accept_policies> names = {
    "automatic",        "sharded",  "sharded_cpu",           "shared_fifo",
    "shared_exclusive", "dispatch", "thread_per_connection",
};

}  // namespace

std::string_view policy_name(accept_policy which) noexcept {
  return names[static_cast<std::size_t>(which)];
}

std::optional<accept_policy> policy_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<accept_policy>(i);
  return {};
}

}  // namespace hinge
