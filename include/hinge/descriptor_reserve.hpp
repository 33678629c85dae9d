// A descriptor that is kept for the moment when there is none left.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/fd.hpp>

namespace hinge {

/// Lent, it is room for one descriptor more in this process: an accept that works only thanks to it
/// can be answered by a reset, where it would have failed. One thread.
class descriptor_reserve {
public:
  /// Takes a descriptor: a socket of that family, bound to nothing. Does nothing the second time.
  HINGE_API result<void> open(family of) noexcept;

  /// As before open().
  void close() noexcept {
    fd_.reset();
    of_ = family::none;
  }

  /// Gives its descriptor away. False: there is none to give.
  HINGE_API bool lend() noexcept;
  bool is_lent() const noexcept { return of_ != family::none && !fd_; }
  /// False: descriptors are short still.
  HINGE_API bool take_back() noexcept;
  /// Whether there is a descriptor besides it; a lent one comes back first. True of a reserve that
  /// was never opened.
  HINGE_API bool has_room_besides() noexcept;

private:
  unique_fd fd_;
  family of_ = family::none;
};

}  // namespace hinge
