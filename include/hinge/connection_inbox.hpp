// Connections that one thread accepts for the loop of another.
#pragma once

#include <hinge/address.hpp>
#include <hinge/raw_array.hpp>

#include <atomic>
#include <bit>
#include <cstdint>

namespace hinge {

struct handed_connection {
  inet_name peer = {};
  int fd = -1;
  std::uint16_t listener = 0;  ///< index, of the loop that has accepted it
};

/// A ring with one giver and one taker. Holds what the taker's loop has room for, so that it can't
/// be full before the loop is.
class connection_inbox {
public:
  /// `connections`: how many the taker's loop may have. False: no memory.
  bool open(std::uint32_t connections) noexcept {
    most_ = connections;
    mask_ = std::bit_ceil(connections) - 1;
    return ring_.open(std::size_t{mask_} + 1);
  }
  std::uint32_t capacity() const noexcept { return most_; }

  /// The giver: how many the loop has, with those on their way.
  std::uint32_t load() const noexcept { return given_ - ended_.load(); }
  /// The giver; load() is below capacity().
  void give(const handed_connection& next) noexcept {
    ring_[given_++ & mask_] = next;
    shown_.store(given_, std::memory_order_release);
  }

  /// The taker: there is one.
  bool holds() const noexcept { return taken_ != shown_.load(std::memory_order_acquire); }
  /// The taker. False: there is none.
  bool take(handed_connection& next) noexcept {
    if (!holds()) return false;
    next = ring_[taken_++ & mask_];
    return true;
  }
  /// The taker: one that it took has ended. True: the giver waits for this.
  bool ended() noexcept {
    ended_.store(ended_.load(std::memory_order_relaxed) + 1);
    return waited_for_.load() && waited_for_.exchange(false);
  }
  /// The giver waits until one ends, unless load() says that this has happened.
  void wait_for_end() noexcept { waited_for_.store(true); }

private:
  raw_array<handed_connection> ring_;
  std::uint32_t most_ = 0;
  std::uint32_t mask_ = 0;
  alignas(64) std::uint32_t given_ = 0;   // the giver's
  std::atomic<std::uint32_t> shown_ = 0;  // written by the giver
  alignas(64) std::uint32_t taken_ = 0;   // the taker's
  std::atomic<std::uint32_t> ended_ = 0;  // written by the taker
  std::atomic<bool> waited_for_ = false;
};

class loop_base;

/// What a loop has to do with another one's accepting: it serves what `by` accepts for it, when it
/// is woken; or gives away each connection that its own listeners let in. Nothing here is owned.
struct handover {
  /// The loop's thread. Takes over the descriptor, or says false: then it is shed.
  using giver = bool(void* whom, const handed_connection& accepted) noexcept;

  connection_inbox* inbox = nullptr;
  const loop_base* by = nullptr;
  giver* give = nullptr;
  void* whom = nullptr;
};

}  // namespace hinge
