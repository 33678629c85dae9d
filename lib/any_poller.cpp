#include <hinge/any_poller.hpp>

#include <hinge/epoll.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>
#endif

#include <cerrno>

namespace hinge {

result<any_poller> any_poller::of(backend which) noexcept {
  any_poller made;
  switch (which) {
    case backend::automatic:
      return made;
    case backend::epoll:
      made = make<epoll_poller>();
      break;
    case backend::io_uring:
#ifdef HINGE_HAVE_URING
      made = make<uring_poller>();
      break;
#else
      return fail("backend", "uring: not built", EINVAL);
#endif
    default:
      return fail("backend", backend_name(which), EINVAL);
  }
  if (!made) return fail("backend", backend_name(which), ENOMEM);
  return made;
}

result<void> any_poller::open_preferred(const poller_options& options) noexcept {
  result<void> refused;
  for (const backend_verdict& one : backend_report().candidates) {
    if (!one.usable) continue;
    result<any_poller> made = of(one.which);
    if (!made) return fail(made);
    refused = made->open(options);
    if (refused) *this = std::move(*made);
    // An option that is wrong is no reason to do without it.
    if (refused || refused.error().code() == EINVAL) break;
  }
  return refused;
}

}  // namespace hinge
