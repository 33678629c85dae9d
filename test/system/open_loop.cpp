// open_loop ADDRESS RATE SECONDS: that many connections a second, whatever becomes of them. Each
// sends a byte, and is served when the first byte comes back; then it is reset, so that its port is
// free. Prints as JSON what became of all.
#include <hinge/address.hpp>
#include <hinge/fd.hpp>
#include <hinge/socket.hpp>
#include <hinge/time.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace {

constexpr hinge::instant second = 1'000'000'000;
constexpr hinge::instant patience = 5 * second;  // after the last one

class open_loop {
public:
  explicit open_loop(const hinge::address& to) : to_(to), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  void run(double rate, double seconds) {
    const hinge::instant began = hinge::now();
    const auto all = static_cast<std::uint64_t>(rate * seconds);
    const auto due = [&](std::uint64_t index) {
      return began + static_cast<hinge::instant>(static_cast<double>(index) / rate * second);
    };
    hinge::instant last = began;
    while (sent_ < all || (!open_.empty() && hinge::now() < last + patience)) {
      while (sent_ < all && due(sent_) <= hinge::now()) {
        begin();
        last = hinge::now();
      }
      hear();
    }
  }

  void print() const {
    std::printf(
        "{\"sent\": %ju, \"served\": %ju, \"refused\": %ju, \"reset\": %ju, \"ended\": %ju, "
        "\"failed\": %ju, \"silent\": %zu, \"retransmitted\": %ju, \"slowest\": %.4f}\n",
        sent_, served_, refused_, reset_, ended_, failed_, open_.size(), retransmitted_,
        static_cast<double>(slowest_) / second);
  }

private:
  struct connection {
    hinge::unique_fd fd;
    hinge::instant began = 0;
    bool asked = false;
  };

  void begin() {
    hinge::unique_fd fd(hinge::sockets::open_stream(to_.family()));
    if (!fd) std::exit(3);
    ++sent_;
    const int connecting = hinge::sockets::connect(fd.get(), to_);
    if (connecting != 0 && connecting != -EINPROGRESS) return failed(-connecting);
    epoll_event wanted{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.fd = fd.get()}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &wanted);
    const int number = fd.get();
    open_[number] = {.fd = std::move(fd), .began = hinge::now()};
  }

  void failed(int code) {
    ++(code == ECONNREFUSED ? refused_ : code == ECONNRESET || code == EPIPE ? reset_ : failed_);
  }

  void hear() {
    std::array<epoll_event, 256> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 1);
    for (int i = 0; i < count; ++i) {
      const auto found = open_.find(events[static_cast<std::size_t>(i)].data.fd);
      if (found != open_.end() && over(found->second)) open_.erase(found);
    }
  }

  bool over(connection& one) {
    const int fd = one.fd.get();
    if (const int code = hinge::sockets::pending_error(fd); code != 0) return failed(code), true;
    if (!one.asked) one.asked = ::send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
    char byte;
    const ssize_t got = ::recv(fd, &byte, 1, MSG_DONTWAIT);
    if (got < 0) return errno != EAGAIN && (failed(errno), true);
    if (got == 0) return ++ended_, true;
    ++served_;
    slowest_ = std::max(slowest_, hinge::now() - one.began);
    tcp_info info{};
    socklen_t length = sizeof info;
    ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    retransmitted_ += info.tcpi_total_retrans;
    hinge::sockets::reset_on_close(fd);
    return true;
  }

  const hinge::address to_;
  hinge::unique_fd epoll_;
  std::map<int, connection> open_;
  std::uintmax_t sent_ = 0, served_ = 0, refused_ = 0, reset_ = 0, ended_ = 0, failed_ = 0;
  std::uintmax_t retransmitted_ = 0;
  hinge::instant slowest_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto to = hinge::address::parse(argv[1]);
  if (!to) return 2;
  open_loop load(*to);
  load.run(std::atof(argv[2]), std::atof(argv[3]));
  load.print();
}
