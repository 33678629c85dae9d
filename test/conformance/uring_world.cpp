#include "conformance/uring_world.hpp"

#include <hinge/socket.hpp>

#include "uring_probe.hpp"
#include "uring_token.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace hinge::test {

namespace {

constexpr rlim_t descriptors = 1024;

/// Errors and connections; not the end that a stop asks for.
bool tells_of_accept(const completion_seen& seen) {
  return request_of(seen.name) == uring_request::accept && seen.result != -ECANCELED;
}

}  // namespace

uring_world::uring_world()
    : rings_([this](const request_seen& seen, std::uint64_t) -> request_fate {
        return {.code = seen.opcode == IORING_OP_ACCEPT ? std::exchange(accept_failure_, 0) : 0};
      }) {
  limit_descriptors(descriptors);
}

result<void> uring_world::usable() { return uring_verdict(); }

std::unique_ptr<client> uring_world::connect(const address& to) {
  if (accept_failure_ != 0) {
    for (int fd = 0; fd < static_cast<int>(descriptors); ++fd) {
      if (!rings_.accepts_on(fd) || *sockets::name_of(fd) != to) continue;
      rings_.fail_armed_accept(fd, std::exchange(accept_failure_, 0));
    }
  }
  return real_world::connect(to);
}

void uring_world::exhaust_descriptors() {
  for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;) taken_.emplace_back(fd);
}

std::uint64_t uring_world::accepts() const {
  const auto& all = rings_.completions();
  return static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), tells_of_accept));
}

std::uint64_t uring_world::empty_accepts() const {
  const auto& all = rings_.completions();
  return static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), [](const auto& seen) {
    return tells_of_accept(seen) && seen.result == -EAGAIN;
  }));
}

/// The bytes said that more follows, and the next request on the descriptor was its close.
bool uring_world::end_was_joined(const client&, int fd) const {
  const auto& log = rings_.requests();
  const auto on_fd = [&](const request_seen& seen) { return seen.fd == fd; };
  const auto close = std::find_if(log.rbegin(), log.rend(), on_fd);
  if (close == log.rend() || close->opcode != IORING_OP_CLOSE) return false;
  const auto send = std::find_if(std::next(close), log.rend(), on_fd);
  return send != log.rend() && send->opcode == IORING_OP_SEND && (send->op_flags & MSG_MORE) != 0;
}

std::string uring_world::violations() const {
  std::string all;
  for (const std::string& one : rings_.violations()) all += one + "\n";
  for (const request_seen& seen : rings_.requests())
    if (seen.opcode == IORING_OP_ACCEPT && seen.file_index != 0) all += "a direct accept\n";
  return all;
}

}  // namespace hinge::test
