// What a test may do, and doing without it.
#pragma once

#include <unistd.h>

namespace hinge::test {

inline bool is_root() { return ::geteuid() == 0; }

/// Gives up root's privileges for the object's life; without effect when there are none.
class unprivileged {
public:
  unprivileged() : was_(::geteuid()) {
    if (was_ == 0) dropped_ = ::seteuid(nobody) == 0;
  }
  unprivileged(const unprivileged&) = delete;
  unprivileged& operator=(const unprivileged&) = delete;
  ~unprivileged() {
    if (dropped_) [[maybe_unused]]
      const int restored = ::seteuid(was_);
  }

private:
  static constexpr uid_t nobody = 65534;
  uid_t was_;
  bool dropped_ = false;
};

}  // namespace hinge::test
