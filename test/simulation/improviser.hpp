// The handler of the simulations: echoes, discards, replies, or does at any time anything that a
// handler may do, and compares what it hears with the model.
#pragma once

#include <hinge/connection.hpp>

#include "simulation/model.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace hinge::sim {

class improviser {
public:
  struct payload {
    std::size_t number = 0;
  };

  /// Both outlive it.
  void open(model& known, network& in) {
    model_ = &known;
    net_ = &in;
  }
  /// It says a lot.
  void talk() { talkative_ = true; }
  /// No more ideas of its own: echoes go on, the rest listens.
  void calm() { calm_ = true; }

  void on_accept(connection c);
  void on_data(connection c, std::span<std::byte> bytes);
  void on_end(connection c);
  void on_half_closed(connection c, nanoseconds age);
  void on_writable(connection c);
  void on_close(connection c, close_cause cause);
  void on_drain(connection c);
  void on_listener_error(std::size_t listener, int code);

  /// Anything at all, on any connection that ever was.
  void act_on_any();
  void resume_all();
  std::size_t open_now() const { return open_; }

private:
  served& of(connection c);
  void act(connection c);
  void say(connection c, std::span<const std::byte> bytes, bool last);
  void say_something(connection c, bool last);
  void check_cause(const served& one, const actor& far, connection c);

  model* model_ = nullptr;
  network* net_ = nullptr;
  bool calm_ = false;
  bool talkative_ = false;
  std::size_t open_ = 0;
  std::vector<connection> handles_;  // also of those that have gone
};

}  // namespace hinge::sim
