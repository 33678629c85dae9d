// A poller chosen at run time. Itself a model of `poller`: an object pointer and a table of
// functions, so that the same loop serves it with one indirect call a turn.
#pragma once

#include <hinge/backend.hpp>
#include <hinge/export.hpp>
#include <hinge/poller.hpp>

#include <memory>
#include <new>
#include <utility>

namespace hinge {

/// Owns any poller. Empty after construction: open() then takes the first backend of
/// built_backends() that is usable (backend_report()) and opens, and says EINVAL of an option at
/// once. When none opens it stays empty; the error names the reason of each, with the code of the
/// first that is in this build.
class any_poller {
public:
  any_poller() noexcept = default;

  /// The only backend of the list, not yet open; of a longer list (`automatic` is one) an empty
  /// any_poller that chooses among them. Where there is no choice, nothing is tried before it is
  /// opened but what uring_poller::open() tries. EINVAL: none of them is in this build. ENOMEM.
  HINGE_API static result<any_poller> of(const backend_list& wanted) noexcept;

  /// Any other model of `poller`, not yet open; an empty any_poller when memory is short.
  template <poller Concrete>
  static any_poller make() noexcept {
    return wrap<Concrete>(new (std::nothrow) Concrete, true);
  }
  /// The same of one that has options of its own: make(uring_poller({.receive = ...})).
  template <poller Concrete>
  static any_poller make(Concrete of) noexcept {
    return wrap<Concrete>(new (std::nothrow) Concrete(std::move(of)), true);
  }
  /// Borrows a poller that outlives this object.
  template <poller Concrete>
  static any_poller borrow(Concrete& concrete) noexcept {
    return wrap<Concrete>(&concrete, false);
  }

  result<void> open(const poller_options& options) noexcept {
    if (wanted_.size() != 0) return open_preferred(options);
    return calls_->open(object_.get(), options);
  }
  /// What became of the wanted ones in open(), up to the one that is open. Empty before it, after
  /// EINVAL, and of a poller that was made or borrowed.
  const backend_choice& choice() const noexcept { return choice_; }
  int turn(std::span<const change> changes, std::span<event> events, turn_terms& terms) noexcept {
    return calls_->turn(object_.get(), changes, events, terms);
  }
  void wake() const noexcept { calls_->wake(object_.get()); }
  void closing(int fd) noexcept {
    if (calls_->closing != nullptr) calls_->closing(object_.get(), fd);
  }
  std::string_view name() const noexcept {
    return calls_ == nullptr ? "none" : calls_->name(object_.get());
  }
  poller_limits limits() const noexcept { return calls_->limits(object_.get()); }
  /// Known from the type, so that asking costs no call.
  bool completes() const noexcept { return completes_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

private:
  struct table {
    result<void> (*open)(void*, const poller_options&) noexcept;
    int (*turn)(void*, std::span<const change>, std::span<event>, turn_terms&) noexcept;
    void (*wake)(const void*) noexcept;
    void (*closing)(void*, int) noexcept;  // null: it has none
    std::string_view (*name)(const void*) noexcept;
    poller_limits (*limits)(const void*) noexcept;
  };
  using owner = std::unique_ptr<void, void (*)(void*)>;

  template <class Concrete>
  static constexpr auto closing_of() noexcept -> void (*)(void*, int) noexcept {
    if constexpr (requires(Concrete & one) { one.closing(0); }) {
      return [](void* self, int fd) noexcept { static_cast<Concrete*>(self)->closing(fd); };
    } else {
      return nullptr;
    }
  }

  template <class Concrete>
  static constexpr table calls_of = {
      [](void* self, const poller_options& options) noexcept {
        return static_cast<Concrete*>(self)->open(options);
      },
      [](void* self, std::span<const change> changes, std::span<event> events,
         turn_terms& terms) noexcept {
        return static_cast<Concrete*>(self)->turn(changes, events, terms);
      },
      [](const void* self) noexcept { static_cast<const Concrete*>(self)->wake(); },
      closing_of<Concrete>(),
      [](const void* self) noexcept { return static_cast<const Concrete*>(self)->name(); },
      [](const void* self) noexcept { return static_cast<const Concrete*>(self)->limits(); },
  };

  template <class Concrete>
  static any_poller wrap(Concrete* concrete, bool owned) noexcept {
    any_poller made;
    if (concrete == nullptr) return made;
    made.wanted_ = std::span<const backend>();
    made.object_ = owner(
        concrete, owned ? [](void* self) { delete static_cast<Concrete*>(self); } : [](void*) {});
    made.calls_ = &calls_of<Concrete>;
    made.completes_ = std::as_const(*concrete).completes();
    return made;
  }

  HINGE_API result<void> open_preferred(const poller_options& options) noexcept;

  owner object_{nullptr, [](void*) {}};
  const table* calls_ = nullptr;
  bool completes_ = false;
  backend_list wanted_;  // to be opened; none where open() is only passed on
  backend_choice choice_;
};

static_assert(poller<any_poller>);

}  // namespace hinge
