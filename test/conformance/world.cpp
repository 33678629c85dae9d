#include "conformance/world.hpp"

#include <hinge/fd.hpp>

#include "support/descriptors.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#ifdef HINGE_HAVE_EPOLL
#include <sys/epoll.h>
#endif
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>

namespace hinge::test {

namespace {

using namespace std::chrono_literals;
constexpr int longest_connect_ms = 10'000;

class real_client final : public client {
public:
  explicit real_client(int fd) : fd_(fd) {}
  ~real_client() override { close(); }

  std::size_t send(std::string_view bytes) override {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  void listen_in() override {
    std::array<char, 65536> room;
    while (fd_ >= 0 && !ended_ && !reset_) {
      const ssize_t count = ::recv(fd_, room.data(), room.size(), MSG_DONTWAIT);
      if (count > 0) received_.append(room.data(), static_cast<std::size_t>(count));
      if (count == 0) ended_ = true;
      if (count < 0 && errno == EAGAIN) return;
      if (count < 0) reset_ = true;
    }
  }
  void shutdown() override { ::shutdown(fd_, SHUT_WR); }
  void send_urgent() override { ::send(fd_, "!", 1, MSG_OOB | MSG_NOSIGNAL); }
  void acknowledge() override {
    const int now = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
  }
  void reset() override {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  void close() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_;
};

class simulated_client final : public client {
public:
  explicit simulated_client(sim::peer end) : end_(std::move(end)) {}

  std::size_t send(std::string_view bytes) override { return end_.send(bytes); }
  void listen_in() override {
    received_ += end_.receive();
    ended_ = ended_ || end_.ended();
    reset_ = reset_ || end_.was_reset();
  }
  void shutdown() override { end_.shutdown(); }
  void reset() override { end_.reset(); }
  void close() override { end_.close(); }
  bool end_joined() const { return end_.state().end_joined; }

private:
  sim::peer end_;
};

}  // namespace

std::unique_ptr<client> connect_client(const address& to) {
  const int kind = to.is_inet() ? AF_INET : AF_UNIX;
  const int fd = ::socket(kind, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return nullptr;
  auto made = std::make_unique<real_client>(fd);
  // Small, so that what doesn't fit is met soon.
  const int small = 32 * 1024;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  std::array<std::byte, address::kernel_capacity> name;
  const auto length = static_cast<socklen_t>(to.to_kernel(name));
  const int failed = ::connect(fd, reinterpret_cast<const sockaddr*>(name.data()), length);
  if (failed != 0 && errno != EINPROGRESS) return nullptr;
  pollfd decided{.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&decided, 1, longest_connect_ms) != 1) return nullptr;
  int pending = 0;
  socklen_t size = sizeof pending;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &size);
  return pending == 0 ? std::move(made) : nullptr;
}

// --- real ----------------------------------------------------------------------------------------

real_world::real_world()
    : world([this](call_id what, std::uint64_t) {
        return what == call_that_accepts ? -std::exchange(accept_failure_, 0) : 0;
      }),
      limit_before_(limit_descriptors()) {
  calls().start_log();
}

real_world::~real_world() { limit_descriptors(limit_before_); }

std::unique_ptr<client> real_world::connect(const address& to) { return connect_client(to); }

deadline real_world::soon(instant now) const { return deadline::after(now, 5ms); }
deadline real_world::late(instant now) const { return deadline::after(now, 50ms); }

std::uint64_t real_world::limit_descriptors(std::uint64_t set) {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("getrlimit");
  const std::uint64_t before = limit.rlim_cur;
  if (set != 0) {
    limit.rlim_cur = set;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("setrlimit");
  }
  return before;
}

void real_world::exhaust_descriptors() {
  const unique_fd lowest_free(::dup(0));
  limit_descriptors(static_cast<std::uint64_t>(lowest_free.get()));
}

void real_world::restore_descriptors() { limit_descriptors(limit_before_); }

std::uint64_t real_world::empty_accepts() const {
  return calls().logged(call_that_accepts, -EAGAIN);
}

#ifdef HINGE_HAVE_EPOLL
std::uint64_t real_world::registrations() const {
  const auto& log = calls().log();
  return static_cast<std::uint64_t>(std::count_if(log.begin(), log.end(), [&](const auto& seen) {
    if (seen.what != call_id::epoll_ctl || seen.arguments[1] == EPOLL_CTL_DEL) return false;
    // Connections alone: what accept4 gave.
    return calls().logged(call_that_accepts, seen.arguments[2]) != 0;
  }));
}
#else
std::uint64_t real_world::registrations() const { return 0; }
#endif

/// The bytes said that more follows, and nothing was called between them and the close.
bool real_world::end_was_joined(const client&, int fd) const {
  const auto& log = calls().log();
  const auto on_fd = [&](const call_seen& seen) { return seen.arguments[0] == fd; };
  const auto close = std::find_if(log.rbegin(), log.rend(), on_fd);
  if (close == log.rend() || close->what != call_id::close) return false;
  const auto send = std::find_if(std::next(close), log.rend(), on_fd);
  return send != log.rend() && send->what == call_id::send && (send->arguments[3] & MSG_MORE) != 0;
}

bool real_world::is_open(int fd) const { return test::is_open(fd); }

bool real_world::is_as_accepted(int fd) const {
  return ::fcntl(fd, F_GETFD) == FD_CLOEXEC && (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

// --- simulated -----------------------------------------------------------------------------------

std::unique_ptr<client> simulated_world::connect(const address& to) {
  sim::peer end = network.connect(to);
  if (!end) return nullptr;
  return std::make_unique<simulated_client>(std::move(end));
}

deadline simulated_world::soon(instant now) const { return deadline::after(now, 5ms); }
deadline simulated_world::late(instant now) const { return deadline::after(now, 1h); }

void simulated_world::exhaust_descriptors() {
  network.with.descriptors = static_cast<std::uint32_t>(network.open_descriptors());
}

void simulated_world::restore_descriptors() {
  network.with.descriptors = sim::conditions{}.descriptors;
}

bool simulated_world::end_was_joined(const client& with, int) const {
  return dynamic_cast<const simulated_client&>(with).end_joined();
}

std::string simulated_world::violations() const {
  std::string all;
  for (const std::string& one : network.violations()) all += one + "\n";
  return all;
}

}  // namespace hinge::test
