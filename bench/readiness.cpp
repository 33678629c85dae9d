#include "readiness.hpp"

#include <hinge/backend.hpp>

#include <stdexcept>
#include <utility>

namespace hinge::bench {

any_poller readiness_poller() {
  for (const backend which : built_backends()) {
    result<any_poller> made = any_poller::of(which);
    if (made && !made->completes()) return std::move(*made);
  }
  throw std::runtime_error("this build has no readiness backend");
}

}  // namespace hinge::bench
