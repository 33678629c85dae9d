// Looks at every system call of the library, and makes some of them fail.
#pragma once

#include "sys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace hinge::test {

/// The calls of lib/sys.hpp.
enum class call_id : std::uint8_t {
#define HINGE_CALL_NAME(returned, name, parameters, arguments) name,
  HINGE_SYS_CALLS(HINGE_CALL_NAME)
#undef HINGE_CALL_NAME
};
inline constexpr std::array call_names = {
#define HINGE_CALL_TEXT(returned, name, parameters, arguments) std::string_view(#name),
    HINGE_SYS_CALLS(HINGE_CALL_TEXT)
#undef HINGE_CALL_TEXT
};

/// The call that accepts.
#ifdef HINGE_HAVE_ACCEPT4
inline constexpr call_id call_that_accepts = call_id::accept4;
#else
inline constexpr call_id call_that_accepts = call_id::accept;
#endif

struct call_seen {
  call_id what;
  std::array<std::int64_t, 6> arguments;  // pointers as 0
  std::int64_t result;                    // pointers as 1 and 0
};

/// In force while it lives, over the table that was in force before. The calls of all threads are
/// seen; the members are for the thread that made it, while no other calls.
class call_hooks {
public:
  /// Asked before each call with its number, counted from 1 for each kind of call: 0, or the
  /// -errno with which it fails instead of being made. A close that fails has closed all the same,
  /// as on Linux; a kevent that is interrupted has made its changes.
  using decision = std::function<int(call_id, std::uint64_t nth)>;

  explicit call_hooks(decision decide = {});
  ~call_hooks();
  call_hooks(const call_hooks&) = delete;
  call_hooks& operator=(const call_hooks&) = delete;

  std::uint64_t count(call_id what) const { return counts_[static_cast<std::size_t>(what)]; }
  /// All calls since the last clear_log(); nothing before start_log().
  const std::vector<call_seen>& log() const { return log_; }
  void start_log() { logging_ = true; }
  void clear_log() { log_.clear(); }
  /// How many calls of a kind in the log had this result.
  std::size_t logged(call_id what, std::int64_t result) const;

  // For the table's functions.
  static call_hooks& current() { return *current_; }
  const sys::call_table& under() const { return under_; }
  int before(call_id what);
  void after(call_id what, std::span<const std::int64_t> arguments, std::int64_t result);

private:
  static call_hooks* current_;
  sys::call_table under_;
  decision decide_;
  std::array<std::uint64_t, call_names.size()> counts_{};
  std::vector<call_seen> log_;
  bool logging_ = false;
  std::mutex mutex_;
};

}  // namespace hinge::test
