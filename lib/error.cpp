#include <hinge/error.hpp>

#include "fixed_text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hinge {
namespace {

constexpr std::size_t message_capacity = 128;

// The two shapes of strerror_r(3): GNU's returns the text, POSIX's returns 0 and fills the room.
[[maybe_unused]] const char* meaning_from(const char* text, const char*) noexcept { return text; }
[[maybe_unused]] const char* meaning_from(int returned, const char* room) noexcept {
  return returned == 0 ? room : "Unknown error";
}

#ifdef HINGE_HAVE_STRERRORNAME_NP

const char* symbol_of(int code) noexcept { return strerrorname_np(code); }

#else

// strerrorname_np(3) is GNU's: elsewhere the names that socket servers meet.
const char* symbol_of(int code) noexcept {
#define HINGE_SYMBOL(name) \
  case name:               \
    return #name;
  switch (code) {
    HINGE_SYMBOL(EACCES)
    HINGE_SYMBOL(EADDRINUSE)
    HINGE_SYMBOL(EADDRNOTAVAIL)
    HINGE_SYMBOL(EAFNOSUPPORT)
    HINGE_SYMBOL(EAGAIN)
    HINGE_SYMBOL(EALREADY)
    HINGE_SYMBOL(EBADF)
    HINGE_SYMBOL(EBUSY)
    HINGE_SYMBOL(ECANCELED)
    HINGE_SYMBOL(ECONNABORTED)
    HINGE_SYMBOL(ECONNREFUSED)
    HINGE_SYMBOL(ECONNRESET)
    HINGE_SYMBOL(EDESTADDRREQ)
    HINGE_SYMBOL(EEXIST)
    HINGE_SYMBOL(EFAULT)
    HINGE_SYMBOL(EHOSTUNREACH)
    HINGE_SYMBOL(EINPROGRESS)
    HINGE_SYMBOL(EINTR)
    HINGE_SYMBOL(EINVAL)
    HINGE_SYMBOL(EIO)
    HINGE_SYMBOL(EISCONN)
    HINGE_SYMBOL(EISDIR)
    HINGE_SYMBOL(ELOOP)
    HINGE_SYMBOL(EMFILE)
    HINGE_SYMBOL(EMSGSIZE)
    HINGE_SYMBOL(ENAMETOOLONG)
    HINGE_SYMBOL(ENETDOWN)
    HINGE_SYMBOL(ENETRESET)
    HINGE_SYMBOL(ENETUNREACH)
    HINGE_SYMBOL(ENFILE)
    HINGE_SYMBOL(ENOBUFS)
    HINGE_SYMBOL(ENODEV)
    HINGE_SYMBOL(ENOENT)
    HINGE_SYMBOL(ENOMEM)
    HINGE_SYMBOL(ENOPROTOOPT)
    HINGE_SYMBOL(ENOSPC)
    HINGE_SYMBOL(ENOSYS)
    HINGE_SYMBOL(ENOTCONN)
    HINGE_SYMBOL(ENOTDIR)
    HINGE_SYMBOL(ENOTSOCK)
    HINGE_SYMBOL(EOPNOTSUPP)
    HINGE_SYMBOL(EPERM)
    HINGE_SYMBOL(EPIPE)
    HINGE_SYMBOL(EPROTO)
    HINGE_SYMBOL(EPROTONOSUPPORT)
    HINGE_SYMBOL(EPROTOTYPE)
    HINGE_SYMBOL(EROFS)
    HINGE_SYMBOL(ESOCKTNOSUPPORT)
    HINGE_SYMBOL(ETIMEDOUT)
  }
#undef HINGE_SYMBOL
  return nullptr;
}

#endif

}  // namespace

error::error(const char* call, std::string_view argument, int code) noexcept
    : call_(call), code_(code) {
  const std::size_t kept = std::min(argument.size(), argument_capacity);
  std::copy_n(argument.data(), kept, argument_.data());
  length_ = static_cast<unsigned char>(kept);
}

std::string error::text() const {
  std::string made(call_);
  if (length_ != 0) made.append(" ").append(argument());
  if (code_ == 0) return made;
  return made.append(": ").append(errno_name(code_)).append(": ").append(errno_meaning(code_));
}

std::string_view errno_name(int code) noexcept {
  if (const char* symbol = symbol_of(code)) return symbol;
  thread_local std::array<char, 32> room;
  return text_writer(room).add("errno ", code).view();
}

std::string_view errno_meaning(int code) noexcept {
  thread_local std::array<char, message_capacity> room;
  return meaning_from(::strerror_r(code, room.data(), room.size()), room.data());
}

}  // namespace hinge
