// Bytes and descriptors over a Unix stream, within a bounded time.
#pragma once

#include <hinge/error.hpp>
#include <hinge/fd.hpp>
#include <hinge/time.hpp>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace hinge {

/// Of one hand-over. The stream is somebody else's, blocking or not.
class descriptor_mail {
public:
  /// `call` names it in errors.
  descriptor_mail(int stream, const char* call, nanoseconds patience) noexcept;

  /// A Unix stream whose peer is of this user, or of root.
  result<void> check() const noexcept;
  /// All of it; the descriptors go with the first byte. At most passed_at_once.
  result<void> send(std::span<const std::byte> bytes, std::span<const int> fds) noexcept;
  /// Exactly as much; what descriptors come with it is kept, closed on exec.
  result<void> receive(std::span<std::byte> into) noexcept;
  std::vector<unique_fd> take_descriptors() noexcept { return std::exchange(arrived_, {}); }

private:
  result<void> wait(short what) noexcept;
  int receive_some(std::span<std::byte> into) noexcept;

  int stream_;
  const char* call_;
  deadline until_;
  std::vector<unique_fd> arrived_;
};

}  // namespace hinge
