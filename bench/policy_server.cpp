#include "policy_server.hpp"

#include <hinge/any_poller.hpp>
#include <hinge/server.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <future>
#include <span>
#include <stdexcept>
#include <string>

#include "backend_text.hpp"

namespace hinge::bench {

namespace {

/// What all handlers have in common.
struct shared_state {
  floor_work work;
  unsigned long most;
  std::atomic<unsigned long> closed = 0;
  std::promise<void> enough = {};
};

struct worker {
  shared_state* all;

  void on_accept(connection peer) const noexcept {
    if (all->work == floor_work::ac) peer.close();
  }
  void on_data(connection peer, std::span<std::byte> bytes) const noexcept {
    if (all->work == floor_work::crr) {
      peer.finish(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
    } else if (!peer.send(bytes)) {
      peer.abort();
    }
  }
  void on_close(connection, close_cause) const noexcept {
    if (++all->closed == all->most) all->enough.set_value();
  }
};

using policy_server = server<any_poller, worker>;

struct policy_name_parts {
  backend of;
  accept_policy by;
};

std::optional<policy_name_parts> parts_of(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == name.npos) return {};
  const auto of = backend_named(name.substr(0, colon));
  const auto by = policy_named(name.substr(colon + 1));
  if (!of || !by) return {};
  return policy_name_parts{*of, *by};
}

void open(policy_server& serving, accept_policy by) {
  const auto check = [](const auto& done) {
    if (!done) throw std::runtime_error(done.error().text());
  };
  check(serving.open({.loops = 2, .policy = by}));
  check(serving.listen(address::loopback(0)));
}

}  // namespace

std::optional<std::string> missing_policy(std::string_view name) {
  const auto who = parts_of(name);
  if (!who) return {};
  const auto poller = any_poller::of(who->of);
  if (!poller) return poller.error().text();
  try {
    shared_state state{floor_work::ac, 0};
    policy_server tried([&](std::uint32_t) { return worker{&state}; },
                        [of = who->of] { return *any_poller::of(of); });
    open(tried, who->by);
    return "";
  } catch (const std::runtime_error& refused) {
    return refused.what();
  }
}

void serve_by_policy(std::string_view name, const served_arguments& given) {
  const auto who = parts_of(name);
  if (!who) throw std::runtime_error("there is no such backend and policy");
  shared_state state{given.work, given.connections};
  policy_server serving([&](std::uint32_t) { return worker{&state}; },
                        [of = who->of] { return *any_poller::of(of); });
  open(serving, who->by);
  if (const auto started = serving.start(); !started)
    throw std::runtime_error(started.error().text());
  const any_poller& first = serving.first_poller();
  std::printf("%s\n", backend_text(first.name(), first.limits()).c_str());
  say_listening(serving.listener_at(0).local().port());
  state.enough.get_future().wait();
  serving.stop();
  (void)serving.join();
}

}  // namespace hinge::bench
