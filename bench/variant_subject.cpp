#include "variant_subject.hpp"

#include <hinge/epoll.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <span>
#include <stdexcept>

#include "hinge_subject.hpp"

namespace hinge::bench {

namespace {

/// Sets an option that is set: what a comparison has to find (see compare_test.py).
struct needless_handler {
  void on_accept(connection peer) noexcept {
    const int on = 1;
    setsockopt(peer.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    peer.close();
  }
  void on_data(connection, std::span<std::byte>) noexcept {}
};

/// Says that it closes only after it has sent: one packet more, and a call.
struct parting_handler {
  static constexpr std::size_t most = 64;
  void on_data(connection peer, std::span<std::byte> bytes) noexcept {
    const bool sent = peer.send(bytes.first(std::min(bytes.size(), most)));
    sent ? peer.close() : peer.abort();
  }
};

}  // namespace

template <class Poller>
std::unique_ptr<subject> make_parting(server_work work, const listener_options& options) {
  if (work == server_work::crr)
    return std::make_unique<hinge_subject<Poller, parting_handler>>(options);
  throw std::invalid_argument("what sends, then closes, does crr alone");
}

template <class Poller>
std::unique_ptr<subject> make_needless(server_work work, const listener_options& options) {
  if (work == server_work::ac)
    return std::make_unique<hinge_subject<Poller, needless_handler>>(options);
  throw std::invalid_argument("a needless option is of ac alone");
}

template std::unique_ptr<subject> make_parting<epoll_poller>(server_work, const listener_options&);
template std::unique_ptr<subject> make_needless<epoll_poller>(server_work, const listener_options&);

}  // namespace hinge::bench
