// A file descriptor with one owner.
#pragma once

#include <hinge/export.hpp>

#include <utility>

namespace hinge {

/// Owns one descriptor and closes it once. Move-only; -1 means empty.
class unique_fd {
public:
  unique_fd() noexcept = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

  /// Closes what is held and takes `fd`. close(2) is never repeated on EINTR: on Linux the
  /// descriptor is gone by then, and a second close could hit somebody else's.
  HINGE_API void reset(int fd = -1) noexcept;

private:
  int fd_ = -1;
};

}  // namespace hinge
