#include "conformance/house.hpp"

#include "support/accounts.hpp"

#include <utility>

namespace hinge::test {

namespace {

const listener_options small_buffers = {.send_buffer_bytes = 32 * 1024,
                                        .receive_buffer_bytes = 32 * 1024};

}  // namespace

house::house(const tested_backend& on, script does, loop_options options, std::size_t listeners)
    : world_(on.make_world()), where(*world_), running(on.make_loop()) {
  notes().does = std::move(does);
  if (options.max_connections == 0) options.max_connections = 64;
  const result<void> opened = running->open(options);
  INFO(opened.error().text());
  REQUIRE(opened);
  for (std::size_t i = 0; i < listeners; ++i)
    REQUIRE(base().listen(address::loopback(0), small_buffers));
  turn();
}

house::~house() {
  if (running) CHECK(wrong_in_accounts(base()) == "");
  running.reset();
  CHECK(where.violations() == "");
}

void house::turn() {
  REQUIRE(running->turn(where.soon(base().now())) >= 0);
  CHECK(wrong_in_accounts(base()) == "");
  for (const auto& one : peers)
    if (one) one->listen_in();
}

client& house::connect(std::size_t listener) {
  peers.push_back(where.connect(base().listener_at(listener).local()));
  REQUIRE(peers.back());
  return *peers.back();
}

client& house::enter(std::size_t listener) {
  const std::size_t before = notes().all.size();
  client& made = connect(listener);
  REQUIRE(until([&] { return notes().all.size() > before; }));
  return made;
}

}  // namespace hinge::test
