#include <hinge/any_poller.hpp>

#include <hinge/epoll.hpp>

#include <array>
#include <cerrno>

namespace hinge {

namespace {

constexpr std::array built = {backend::epoll};

}  // namespace

std::string_view backend_name(backend which) noexcept {
  switch (which) {
    case backend::automatic:
      return "automatic";
    case backend::epoll:
      return "epoll";
  }
  return "unknown";
}

std::span<const backend> built_backends() noexcept { return built; }

result<any_poller> any_poller::of(backend which) noexcept {
  any_poller made;
  switch (which) {
    case backend::automatic:
    case backend::epoll:
      made = make<epoll_poller>();
      break;
    default:
      return fail("any_poller", backend_name(which), EINVAL);
  }
  if (!made) return fail("any_poller", backend_name(which), ENOMEM);
  return made;
}

}  // namespace hinge
