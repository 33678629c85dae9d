// The listeners of a loop together.
#pragma once

#include <hinge/bounded_list.hpp>
#include <hinge/change_list.hpp>
#include <hinge/descriptor_reserve.hpp>
#include <hinge/door.hpp>
#include <hinge/export.hpp>
#include <hinge/time.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace hinge {

/// The loop's thread. Doors stay, closed, when they have died; their number only grows.
class door_table {
public:
  static constexpr std::size_t most = 64;

  /// Once, before anything else. False when memory is short.
  bool open() noexcept { return doors_.open(most); }

  std::size_t size() const noexcept { return doors_.size(); }
  const door& operator[](std::size_t index) const noexcept { return doors_[index]; }
  door& operator[](std::size_t index) noexcept { return doors_[index]; }
  auto begin() noexcept { return doors_.begin(); }
  auto end() noexcept { return doors_.end(); }
  auto begin() const noexcept { return doors_.begin(); }
  auto end() const noexcept { return doors_.end(); }

  /// At most `most`.
  void add(listener opened) noexcept {
    doors_.push_back(door(std::move(opened)));
    changed_ = true;
  }

  /// arm() has something to do.
  bool changed() const noexcept { return changed_; }
  /// Doors that wait for a descriptor, those whose last accept failed, those that are in an episode
  /// (of which both are), and those that the backend still has.
  std::uint32_t exhausted() const noexcept { return exhausted_; }
  std::uint32_t recovering() const noexcept { return recovering_; }
  std::uint32_t episodes() const noexcept { return episodes_; }
  std::uint32_t detaching() const noexcept { return detaching_; }
  /// Those that retire, and that are being emptied.
  std::uint32_t retiring() const noexcept { return retiring_; }
  std::uint32_t emptying() const noexcept { return emptying_; }
  /// When the first of them tries again, or its episode is over.
  HINGE_API deadline next_moment() const noexcept;

  /// Brings each door to the state that it should be in, as far as there is room for changes.
  HINGE_API void arm(change_list& changes, bool room, instant now) noexcept;
  void ended(std::size_t index) noexcept {
    doors_[index].ended();
    changed_ = true;
  }
  HINGE_API door_failure fail(std::size_t index, int code, bool arming, instant now,
                              bool freed) noexcept;
  HINGE_API void accepted(std::size_t index, instant now) noexcept;
  HINGE_API void descriptor_freed(instant now, want_end by) noexcept;
  HINGE_API std::optional<door_episode> take_episode(std::size_t index, instant now) noexcept;
  /// For connections that can't be served; empty until it is opened.
  descriptor_reserve& reserve() noexcept { return reserve_; }
  /// An exhausted door accepts by means of the reserve, or of the descriptor of who was shed last.
  /// Without either it waits.
  HINGE_API void shed_next(std::size_t index, instant now) noexcept;
  /// Somebody was shed.
  HINGE_API void shed(instant now) noexcept;
  HINGE_API void close() noexcept;
  HINGE_API void retire(std::size_t index, door_end tell) noexcept;
  HINGE_API void close(std::size_t index, door_exit how) noexcept;
  HINGE_API void detached(std::size_t index) noexcept;
  /// One that is to be emptied now.
  HINGE_API std::optional<std::size_t> to_empty(instant now) const noexcept;
  /// An accept on it has failed with -errno. True: the next one may work.
  HINGE_API bool empty_failed(std::size_t index, int code, instant now) noexcept;

private:
  void recount() noexcept;

  bounded_list<door> doors_;
  descriptor_reserve reserve_;
  bool changed_ = false;
  std::uint32_t exhausted_ = 0;
  std::uint32_t recovering_ = 0;
  std::uint32_t episodes_ = 0;
  std::uint32_t detaching_ = 0;
  std::uint32_t retiring_ = 0;
  std::uint32_t emptying_ = 0;
};

}  // namespace hinge
