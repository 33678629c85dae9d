// A completion backend without a system behind it: each connection has received something, in each
// turn. What a turn costs is then the loop's.
#pragma once

#include <hinge/poller.hpp>
#include <hinge/socket.hpp>

#include <fcntl.h>

#include <array>
#include <cstddef>
#include <vector>

namespace hinge::bench {

class reporting_poller {
public:
  static constexpr std::uint32_t connections = 64;  ///< which it accepts at first
  static constexpr std::uint32_t bytes = 64;        ///< of each event

  result<void> open(const poller_options&) noexcept { return {}; }
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) noexcept {
    int count = 0;
    for (const change& one : changes) {
      if (one.what == operation::accept) listener_ = one.subject;
      if (one.what == operation::receive) receiving_.push_back(one.subject);
      if (one.what == operation::close) sockets::close(one.fd);
      if (one.what == operation::detach)
        events[count++] = {.subject = one.subject, .kind = event_kind::detached};
    }
    terms.now = ++clock_;
    if (accepted_ < connections && terms.accept_room >= connections) return accept_all(events);
    for (std::size_t i = 0; count == 0 && i < receiving_.size(); ++i) {
      events[i] = {.subject = receiving_[i],
                   .result = bytes,
                   .buffer = static_cast<std::uint16_t>(i),
                   .kind = event_kind::received,
                   .more = 1};
    }
    return count == 0 ? static_cast<int>(receiving_.size()) : count;
  }
  void wake() const noexcept {}
  static constexpr std::string_view name() noexcept { return "reporting"; }
  poller_limits limits() const noexcept {
    return {.buffers = buffers_.data(),
            .buffer_stride = bytes,
            .buffer_count = connections,
            .peers = &peer_};
  }
  static constexpr bool completes() noexcept { return true; }

private:
  int accept_all(std::span<event> events) noexcept {
    for (; accepted_ < connections; ++accepted_) {
      events[accepted_] = {.subject = listener_,
                           .result = ::open("/dev/null", O_RDWR | O_CLOEXEC),
                           .buffer = 0,
                           .kind = event_kind::accepted,
                           .more = 1};
    }
    return connections;
  }

  mutable std::array<std::byte, std::size_t{connections} * bytes> buffers_{};
  inet_name peer_{};
  token listener_;
  std::vector<token> receiving_;
  std::uint32_t accepted_ = 0;
  instant clock_ = 1;
};

}  // namespace hinge::bench
