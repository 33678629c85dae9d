#include "subject.hpp"

#include <hinge/epoll.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "floor_blocking.hpp"
#include "floor_drain.hpp"
#include "floor_epoll.hpp"
#include "hinge_subject.hpp"
#include "proxy_subject.hpp"
#include "variant_subject.hpp"

#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>

#include "floor_uring.hpp"
#endif

namespace hinge::bench {

namespace {

template <class Floor>
class floor_subject final : public subject {
public:
  floor_subject(floor_work work, const listener_options& options)
      : listener_(open_listener(options)), floor_(work, listener_.fd()) {}

  bool serve_until_closed(std::uint64_t total) override {
    while (floor_.closed < total) {
      if (!floor_.turn(-1)) return false;
    }
    return true;
  }
  bool turn_at_once() override { return floor_.turn(0); }
  std::uint64_t closed() const noexcept override { return floor_.closed; }
  std::uint16_t port() const noexcept override { return listener_.local().port(); }

private:
  listener listener_;
  Floor floor_;
};

// The handlers are what a user would write.

struct ac_handler {
  void on_accept(connection peer) noexcept { peer.close(); }
  void on_data(connection, std::span<std::byte>) noexcept {}
};

struct crr_handler {
  static constexpr std::size_t most = 64;
  void on_data(connection peer, std::span<std::byte> bytes) noexcept {
    peer.finish(bytes.first(std::min(bytes.size(), most)));
  }
};

struct echo_handler {
  void on_data(connection peer, std::span<std::byte> bytes) noexcept {
    if (!peer.send(bytes)) peer.abort();
  }
};

template <class Floor>
std::unique_ptr<subject> make_floor(server_work work, const listener_options& options) {
  switch (work) {
    case server_work::ac:
      return std::make_unique<floor_subject<Floor>>(floor_work::ac, options);
    case server_work::crr:
      return std::make_unique<floor_subject<Floor>>(floor_work::crr, options);
    case server_work::echo:
      return std::make_unique<floor_subject<Floor>>(floor_work::echo, options);
    case server_work::proxy:
    case server_work::keep:
      break;
  }
  throw std::invalid_argument("a floor is no proxy");
}

template <class Poller>
std::unique_ptr<subject> make_hinge(server_work work, const listener_options& options) {
  switch (work) {
    case server_work::ac:
      return std::make_unique<hinge_subject<Poller, ac_handler>>(options);
    case server_work::crr:
      return std::make_unique<hinge_subject<Poller, crr_handler>>(options);
    case server_work::echo:
      return std::make_unique<hinge_subject<Poller, echo_handler>>(options);
    case server_work::proxy:
    case server_work::keep:
      break;
  }
  return make_proxy<Poller>(work, options);
}

std::unique_ptr<subject> make_blocking(server_work work, const listener_options& options) {
  if (work == server_work::ac || work == server_work::crr)
    return make_floor<floor_blocking>(work, options);
  throw std::invalid_argument("floor-blocking has one connection at a time, and keeps none");
}

struct entry {
  std::string_view name;
  std::unique_ptr<subject> (*make)(server_work, const listener_options&);
};
constexpr std::array entries = {
    entry{"epoll", make_hinge<epoll_poller>},
    entry{"epoll:send-close", make_parting<epoll_poller>},
    entry{"epoll:needless-option", make_needless<epoll_poller>},
    entry{"floor-epoll", make_floor<floor_epoll>},
    entry{"floor-drain", make_floor<floor_drain>},
    entry{"floor-blocking", make_blocking},
#ifdef HINGE_HAVE_URING
    entry{"uring", make_hinge<uring_poller>},
    entry{"floor-uring", make_floor<floor_uring>},
#endif
};
constexpr auto names = [] {
  std::array<std::string_view, entries.size()> all;
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = entries[i].name;
  return all;
}();
constexpr std::array backends = {
    std::string_view("epoll"),
#ifdef HINGE_HAVE_URING
    std::string_view("uring"),
#endif
};

}  // namespace

std::span<const std::string_view> subject_names() noexcept { return names; }

std::span<const std::string_view> subject_backends() noexcept { return backends; }

std::string floor_of(std::string_view backend) { return "floor-" + std::string(backend); }

std::unique_ptr<subject> make_subject(std::string_view name, server_work work,
                                      const listener_options& options) {
  for (const entry& one : entries) {
    if (name == one.name) return one.make(work, options);
  }
  throw std::invalid_argument("no server '" + std::string(name) + "' in this build");
}

std::optional<std::string> missing_here(std::string_view name) {
  try {
    // One that all of a backend do is enough.
    make_subject(name.substr(0, name.find(':')), server_work::crr);
    return {};
  } catch (const std::runtime_error& refused) {
    return refused.what();
  }
}

namespace {

constexpr std::array<std::string_view, 5> works = {"ac", "crr", "echo", "proxy", "keep"};

}  // namespace

server_work parse_work(std::string_view text) {
  const auto found = std::find(works.begin(), works.end(), text);
  if (found != works.end()) return static_cast<server_work>(found - works.begin());
  throw std::invalid_argument("no work '" + std::string(text) + "': ac, crr, echo, proxy or keep");
}

std::string_view name_of(server_work work) noexcept {
  return works[static_cast<std::size_t>(work)];
}

}  // namespace hinge::bench
