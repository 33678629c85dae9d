// hinge's loop as a server that is compared.
#pragma once

#include <hinge/loop.hpp>

#include <stdexcept>
#include <string>

#include "backend_text.hpp"
#include "subject.hpp"

namespace hinge::bench {

inline listener open_listener(const listener_options& options) {
  auto opened = listener::open(address::loopback(0), options);
  if (!opened) throw std::runtime_error(opened.error().text());
  return std::move(*opened);
}

template <class Poller, class Handler>
class hinge_subject final : public subject {
public:
  explicit hinge_subject(const listener_options& options) {
    if (auto opened = loop_.open(); !opened) throw std::runtime_error(opened.error().text());
    auto taken = loop_.listen(open_listener(options));
    if (!taken) throw std::runtime_error(taken.error().text());
  }

  bool serve_until_closed(std::uint64_t total) override {
    while (closed() < total) {
      if (loop_.turn() < 0) return false;
      after_turn();
    }
    return true;
  }
  bool turn_at_once() override {
    const int turned = loop_.turn(deadline::immediately());
    after_turn();
    return turned >= 0;
  }
  std::uint64_t closed() const noexcept override {
    return loop_.counters().accepted - loop_.table().size();
  }
  std::uint16_t port() const noexcept override { return loop_.listener_at(0).local().port(); }
  std::string about() override {
    return backend_text(loop_.poller().name(), loop_.poller().limits());
  }

private:
  void after_turn() noexcept {
    if constexpr (requires(Handler handler) { handler.after_turn(); }) loop_.handler().after_turn();
  }

  loop<Poller, Handler> loop_;
};

}  // namespace hinge::bench
