// A loop with listeners and peers, looked at from outside.
#pragma once

#include "conformance/backends.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace hinge::test {

class house {
public:
  static constexpr std::size_t most_turns = 1000;

  explicit house(const tested_backend& on, script does = {}, loop_options options = {},
                 std::size_t listeners = 1);
  ~house();

  /// One turn, and every peer hears what has arrived. The accounts are always exact.
  void turn();
  template <class Done>
  bool until(Done done, std::size_t turns = most_turns) {
    for (std::size_t i = 0; i < turns; ++i) {
      if (done()) return true;
      turn();
    }
    return done();
  }
  void rest(int turns = 8) {
    for (int i = 0; i < turns; ++i) turn();
  }

  /// A peer whose connection waits in the kernel.
  client& connect(std::size_t listener = 0);
  /// A peer that was accepted.
  client& enter(std::size_t listener = 0);

  /// From here on it sends and receives only when the case says so.
  std::unique_ptr<client> take_away(std::size_t index) { return std::move(peers[index]); }

  loop_base& base() { return running->base(); }
  const loop_counters& counters() { return base().counters(); }
  note_taker& notes() { return running->handler(); }
  heard& about(std::size_t index) { return notes().all.at(index); }
  connection handle(std::size_t index) { return notes().handles.at(index); }
  std::uint64_t closed(close_cause cause) {
    return counters().closed[static_cast<std::size_t>(cause)];
  }

private:
  std::unique_ptr<world> world_;

public:
  world& where;
  std::vector<std::unique_ptr<client>> peers;
  std::unique_ptr<tested_loop> running;
};

}  // namespace hinge::test
