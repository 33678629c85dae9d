#include "own_server.hpp"

#include <stdexcept>
#include <utility>

#include "backend_option.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint32_t spare = 64;  // clients that have left and are not yet seen to have

any_poller poller_of(const backend_list& wanted) {
  result<any_poller> made = any_poller::of(wanted);
  if (!made) throw std::runtime_error(made.error().text());
  return std::move(*made);
}

}  // namespace

own_server::own_server(const backend_list& wanted, std::uint32_t connections, bool greets)
    : loop_(poller_of(wanted), answering{greets}) {
  const auto opened = loop_.open({.max_connections = connections + spare});
  if (!opened) throw std::runtime_error(why_not_open(loop_.poller().choice(), opened.error()));
  const auto door = loop_.listen(address::loopback(0), {.no_delay = true});
  if (!door) throw std::runtime_error(door.error().text());
  where_ = loop_.listener_at(0).local();
  thread_ = std::thread([this] {
    number_ = this_thread();
    loop_.run();
  });
}

void own_server::hold(bool held) {
  std::unique_lock lock(mutex_);
  wanted_ = held;
  if (!held) return changed_.notify_all();
  loop_.post([this] {
    std::unique_lock inside(mutex_);
    held_ = true;
    changed_.notify_all();
    changed_.wait(inside, [this] { return !wanted_; });
    held_ = false;
  });
  changed_.wait(lock, [this] { return held_; });
}

own_server::~own_server() {
  hold(false);
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace hinge::bench
