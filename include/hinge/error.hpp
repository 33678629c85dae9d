// Errors are values. Hot paths return an int, >= 0 or -errno; cold paths return result<T>, whose
// error names the call that failed, its argument and the errno. Nothing in the library throws.
#pragma once

#include <hinge/export.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hinge {

/// What failed: `call` on `argument` with errno `code`. A value of about 200 bytes that owns its
/// text.
class [[nodiscard]] error {
public:
  static constexpr std::size_t argument_capacity = 176;

  error() noexcept = default;

  /// `call` must be a string literal (it is kept by pointer); `argument` is copied and cut to
  /// argument_capacity bytes. `code` is a positive errno.
  HINGE_API error(const char* call, std::string_view argument, int code) noexcept;

  const char* call() const noexcept { return call_; }
  std::string_view argument() const noexcept { return {argument_.data(), length_}; }
  int code() const noexcept { return code_; }

  /// "bind 127.0.0.1:80: EACCES: Permission denied".
  HINGE_API std::string text() const;

private:
  const char* call_ = "";
  int code_ = 0;
  unsigned char length_ = 0;
  std::array<char, argument_capacity> argument_{};
};

/// The symbolic name of a positive errno ("EADDRINUSE"), or "errno 4711" if the system has no such
/// number. The view lives until the next call in the same thread.
HINGE_API std::string_view errno_name(int code) noexcept;

/// The system's one-line meaning of a positive errno (strerror_r(3)); same lifetime as errno_name.
HINGE_API std::string_view errno_meaning(int code) noexcept;

/// Wraps an error so that a result<T> can be made from it: `return fail("bind", "*:80", EACCES);`
struct [[nodiscard]] failure {
  error reason;
};

[[nodiscard]] inline failure fail(const char* call, std::string_view argument, int code) noexcept {
  return {error(call, argument, code)};
}
[[nodiscard]] inline failure fail(const error& reason) noexcept { return {reason}; }

/// A T or an error; the member names are std::expected's (C++23). Reading the side that is not
/// there is undefined, as with std::optional's operator*.
template <class T>
class [[nodiscard]] result {
public:
  using value_type = T;

  result(T value) noexcept : value_(std::move(value)) {}
  result(failure failed) noexcept : error_(failed.reason) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  T& value() & noexcept { return *value_; }
  const T& value() const& noexcept { return *value_; }
  T&& value() && noexcept { return std::move(*value_); }
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return std::move(*value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  template <class U>
  T value_or(U&& otherwise) const& {
    return has_value() ? *value_ : static_cast<T>(std::forward<U>(otherwise));
  }
  const hinge::error& error() const noexcept { return error_; }

private:
  std::optional<T> value_;
  hinge::error error_;
};

/// Success without a value, or an error.
template <>
class [[nodiscard]] result<void> {
public:
  using value_type = void;

  result() noexcept = default;
  result(failure failed) noexcept : error_(failed.reason), ok_(false) {}

  bool has_value() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  const hinge::error& error() const noexcept { return error_; }

private:
  hinge::error error_;
  bool ok_ = true;
};

/// Passes on the error of another result: `if (!opened) return fail(opened);`
template <class T>
[[nodiscard]] failure fail(const result<T>& failed) noexcept {
  return {failed.error()};
}

}  // namespace hinge
