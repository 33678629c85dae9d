// Tokens, changes and events as kevent(2) has them. What the systems call its members' types
// differs.
#pragma once

#include <hinge/event.hpp>

#include <bit>
#include <cstdint>

#include "sys.hpp"

namespace hinge::kevents {

using sys::kernel_event;
using udata = decltype(kernel_event::udata);    // void*; NetBSD: also intptr_t
using filter = decltype(kernel_event::filter);  // short; NetBSD: unsigned
using flags = decltype(kernel_event::flags);    // unsigned short; NetBSD: unsigned

static_assert(sizeof(udata) == sizeof(std::uint64_t), "a token is 64 bits, and lies in udata");

inline kernel_event kernel_change(int fd, filter what, unsigned does, token subject) noexcept {
  kernel_event made{};
  made.ident = static_cast<decltype(made.ident)>(fd);
  made.filter = what;
  made.flags = static_cast<flags>(does);
  made.udata = std::bit_cast<udata>(subject.bits());
  return made;
}

inline token subject_of(const kernel_event& one) noexcept {
  const udata name = one.udata;  // by value: macOS packs the struct to 4 bytes
  return token::from_bits(std::bit_cast<std::uint64_t>(name));
}

/// Under this name a registration is deleted, which may fail as it likes: the descriptor may be
/// closed, and with it all of its registrations have gone.
inline token unanswered(token subject) noexcept {
  return {role::none, subject.slot(), subject.generation()};
}

/// Whether `data` counts what lies behind the mark of urgent data, too.
inline bool counts_past_mark() noexcept {
#ifdef EV_OOBAND  // macOS
  return false;
#else
  return !sys::on_libkqueue;
#endif
}

inline event connection_event(const kernel_event& one, token subject) noexcept {
  const bool ended = (one.flags & EV_EOF) != 0;
  const int cause = ended ? static_cast<int>(one.fflags) : 0;
  const std::int32_t failed =
      cause == 0 ? 0 : readiness::end | readiness::error | readiness::with_cause(cause);
  // Writing has ended after a shutdown of our own, too: without a cause that is no news.
  if (one.filter == EVFILT_WRITE)
    return {.subject = subject,
            .result = readiness::out | failed,
            .kind = failed == 0 ? event_kind::writable : event_kind::readable};
  const auto bytes = static_cast<std::uint64_t>(one.data);
  // With nothing to read and no end there may be an error: FreeBSD says no more then.
  const std::int32_t else_failed = ended ? readiness::end : bytes == 0 ? readiness::error : 0;
  return {.subject = subject,
          .result = readiness::in | else_failed | failed,
          .buffer = counts_past_mark() ? readiness::at_least(bytes) : readiness::many,
          .kind = event_kind::readable};
}

}  // namespace hinge::kevents
