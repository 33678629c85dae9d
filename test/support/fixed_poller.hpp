// hinge-serve's poller where the backend is fixed when it is compiled: HINGE_FIXED_BACKEND is its
// name in `backend`, HINGE_FIXED_POLLER its class, HINGE_FIXED_HEADER their header.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/poller.hpp>
#include HINGE_FIXED_HEADER

#include <algorithm>
#include <cerrno>

namespace hinge::serve {

/// What hinge-serve asks of any_poller besides polling.
class serving_poller : public HINGE_FIXED_POLLER {
public:
  /// EINVAL: it isn't among them.
  static result<serving_poller> of(const backend_list& wanted) noexcept {
    constexpr backend fixed = backend::HINGE_FIXED_BACKEND;
    if (std::find(wanted.begin(), wanted.end(), fixed) != wanted.end()) return serving_poller();
    return fail("serve", "on a backend that this program lacks", EINVAL);
  }
  const backend_choice& choice() const noexcept { return choice_; }

private:
  backend_choice choice_;  // there was none
};

static_assert(poller<serving_poller>);

}  // namespace hinge::serve
