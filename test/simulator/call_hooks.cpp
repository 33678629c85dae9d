#include "simulator/call_hooks.hpp"

#include <algorithm>
#include <tuple>
#include <type_traits>

namespace hinge::test {

namespace {

template <class T>
std::int64_t as_number(T value) {
  if constexpr (std::is_pointer_v<T>)
    return value != nullptr;
  else
    return static_cast<std::int64_t>(value);
}

template <class T>
std::int64_t as_argument(T value) {
  return std::is_pointer_v<T> ? 0 : as_number(value);
}

template <class... Arguments>
std::array<std::int64_t, sizeof...(Arguments)> numbers(Arguments... arguments) {
  return {as_argument(arguments)...};
}

/// What a failed call returns: -errno, or nothing and errno.
template <class Returned>
Returned failure_of(int code) {
  errno = -code;
  if constexpr (std::is_signed_v<Returned>)
    return static_cast<Returned>(code);
  else
    return {};
}

/// What a call does although it fails.
template <call_id What, class... Arguments>
void fail_late(const sys::call_table& under, [[maybe_unused]] int code, Arguments... arguments) {
  if constexpr (What == call_id::close) (void)under.close(arguments...);
#ifdef HINGE_HAVE_KQUEUE
  if constexpr (What == call_id::kevent) {
    const auto make = [&](int queue, const auto* changes, auto count, auto*, auto, auto*) {
      const timespec at_once{};
      if (code == -EINTR) (void)under.kevent(queue, changes, count, nullptr, 0, &at_once);
    };
    make(arguments...);
  }
#endif
}

#define HINGE_HOOKED(returned, name, parameters, arguments)                                  \
  [] parameters noexcept -> returned {                                                       \
    call_hooks& hooks = call_hooks::current();                                               \
    const int failed = hooks.before(call_id::name);                                          \
    if (failed != 0)                                                                         \
      std::apply(                                                                            \
          [&](auto... given) { fail_late<call_id::name>(hooks.under(), failed, given...); }, \
          std::make_tuple arguments);                                                        \
    returned const result =                                                                  \
        failed != 0 ? failure_of<returned>(failed) : hooks.under().name arguments;           \
    hooks.after(call_id::name, numbers arguments, as_number(result));                        \
    return result;                                                                           \
  },
const sys::call_table hooked = {HINGE_SYS_CALLS(HINGE_HOOKED)};
#undef HINGE_HOOKED

}  // namespace

call_hooks* call_hooks::current_ = nullptr;

call_hooks::call_hooks(decision decide) : under_(sys::current), decide_(std::move(decide)) {
  current_ = this;
  sys::current = hooked;
}

call_hooks::~call_hooks() {
  sys::current = under_;
  current_ = nullptr;
}

int call_hooks::before(call_id what) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t nth = ++counts_[static_cast<std::size_t>(what)];
  return decide_ ? decide_(what, nth) : 0;
}

void call_hooks::after(call_id what, std::span<const std::int64_t> arguments, std::int64_t result) {
  const std::lock_guard lock(mutex_);
  if (!logging_) return;
  call_seen seen{what, {}, result};
  std::copy(arguments.begin(), arguments.end(), seen.arguments.begin());
  log_.push_back(seen);
}

std::size_t call_hooks::logged(call_id what, std::int64_t result) const {
  return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), [&](const auto& seen) {
    return seen.what == what && seen.result == result;
  }));
}

}  // namespace hinge::test
