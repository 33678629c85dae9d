// The readiness backend of this build.
#pragma once

#include <hinge/backend.hpp>

#ifdef HINGE_HAVE_EPOLL
#include <hinge/epoll.hpp>
#else
#include <hinge/kqueue.hpp>
#endif

namespace hinge::test {

#ifdef HINGE_HAVE_EPOLL
using readiness_poller = epoll_poller;
inline constexpr backend readiness_backend = backend::epoll;
#else
using readiness_poller = kqueue_poller;
inline constexpr backend readiness_backend = backend::kqueue;
#endif

}  // namespace hinge::test
