#include "proxy_subject.hpp"

#include <hinge/epoll.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>
#endif

#include <span>
#include <utility>

#include "hinge_subject.hpp"

namespace hinge::bench {

namespace {

/// Joins each connection with the next one.
class joined {
public:
  struct payload {
    connection other;
  };
  void on_accept(connection peer) noexcept {
    if (lone_.is_open()) {
      other(peer) = lone_;
      other(lone_) = peer;
      lone_ = {};
    } else {
      lone_ = peer;
    }
  }

protected:
  static connection& other(connection peer) noexcept { return peer.payload<payload>().other; }

private:
  connection lone_;
};

struct proxy_handler : joined {
  void on_data(connection peer, std::span<std::byte> bytes) noexcept {
    if (!other(peer).send(bytes)) peer.abort();
  }
};

/// One message at a time.
class keep_handler : public joined {
public:
  void on_data(connection peer, std::span<std::byte> bytes) noexcept {
    after_turn();
    kept_ = peer.keep(bytes);
    to_ = other(peer);
  }
  void after_turn() noexcept {
    if (kept_ && !to_.send_kept(std::move(kept_))) to_.abort();
  }

private:
  kept_bytes kept_;
  connection to_;
};

}  // namespace

template <class Poller>
std::unique_ptr<subject> make_proxy(server_work work, const listener_options& options) {
  if (work == server_work::keep)
    return std::make_unique<hinge_subject<Poller, keep_handler>>(options);
  return std::make_unique<hinge_subject<Poller, proxy_handler>>(options);
}

template std::unique_ptr<subject> make_proxy<epoll_poller>(server_work, const listener_options&);
#ifdef HINGE_HAVE_URING
template std::unique_ptr<subject> make_proxy<uring_poller>(server_work, const listener_options&);
#endif

}  // namespace hinge::bench
