#include <hinge/descriptor_reserve.hpp>

#include <hinge/socket.hpp>

namespace hinge {

result<void> descriptor_reserve::open(family of) noexcept {
  if (of_ != family::none) return {};
  const int fd = sockets::open_stream(of);
  if (fd < 0) return fail("socket", "a descriptor in reserve", -fd);
  fd_.reset(fd);
  of_ = of;
  return {};
}

bool descriptor_reserve::lend() noexcept {
  if (!fd_) return false;
  fd_.reset();
  return true;
}

bool descriptor_reserve::take_back() noexcept {
  const int fd = sockets::open_stream(of_);
  if (fd < 0) return false;
  fd_.reset(fd);
  return true;
}

bool descriptor_reserve::has_room_besides() noexcept {
  if (of_ == family::none) return true;
  if (is_lent() && !take_back()) return false;
  return bool(unique_fd(sockets::open_stream(of_)));
}

}  // namespace hinge
