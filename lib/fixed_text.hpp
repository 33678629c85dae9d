// Text of bounded length on the stack, for messages of cold paths that must not allocate.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace hinge {

/// Appends to a caller's room; what does not fit is cut.
class text_writer {
public:
  explicit text_writer(std::span<char> room) noexcept : room_(room) {}

  /// Any mix of integers, characters and strings.
  template <class... Parts>
  text_writer& add(const Parts&... parts) noexcept {
    (put(parts), ...);
    return *this;
  }

  std::string_view view() const noexcept { return {room_.data(), length_}; }
  /// Of all that was added, also of what was cut.
  std::size_t length_wanted() const noexcept { return wanted_; }

private:
  void put(std::string_view text) noexcept {
    const std::size_t taken = std::min(text.size(), room_.size() - length_);
    std::copy_n(text.data(), taken, room_.data() + length_);
    length_ += taken;
    wanted_ += text.size();
  }
  void put(char one) noexcept { put(std::string_view(&one, 1)); }
  template <std::integral Integer>
  void put(Integer number) noexcept {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    // At most all of them, which GCC 12 doesn't see.
    const auto length = std::min(static_cast<std::size_t>(end - digits.data()), digits.size());
    put(std::string_view(digits.data(), length));
  }

  std::span<char> room_;
  std::size_t length_ = 0;
  std::size_t wanted_ = 0;
};

/// Appends bytes as one printable ASCII word: blanks, backslashes and what isn't printable as \xNN.
inline text_writer& add_escaped(text_writer& out, std::string_view bytes) noexcept {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (value > ' ' && value < 0x7f && value != '\\')
      out.add(byte);
    else
      out.add("\\x", digits[value >> 4], digits[value & 15]);
  }
  return out;
}

/// A text_writer with its own room.
template <std::size_t Capacity>
class fixed_text : public text_writer {
public:
  fixed_text() noexcept : text_writer(room_) {}
  fixed_text(const fixed_text&) = delete;
  fixed_text& operator=(const fixed_text&) = delete;

private:
  std::array<char, Capacity> room_;
};

}  // namespace hinge
