// The listeners of a readiness backend, and how many connections it takes from each.
#pragma once

#include <hinge/accept_error.hpp>
#include <hinge/event.hpp>
#include <hinge/poller.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "listener_queue.hpp"
#include "peer_name.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

namespace hinge {

/// Of one backend: those that are reported in a turn are the bits of one word.
inline constexpr std::uint32_t most_accept_sources = 64;

struct accept_source {
  token subject;
  int fd = -1;
  bool armed = false;
  bool countable = true;          // TCP_INFO tells how many wait
  std::uint64_t served_turn = 0;  // the last turn that accepted here
  std::uint32_t streak = 0;       // reports in a row that came at once
  std::uint32_t probe_interval = 1;
  std::uint32_t reported = 1;  // how many wait, as the report said; a hint
};

/// The answer to a change that failed.
inline event failed_event(token subject, int code, operation what) noexcept {
  return {.subject = subject,
          .result = code,
          .buffer = static_cast<std::uint16_t>(what),
          .kind = event_kind::failed};
}

/// The part of a backend's state that accepts. `Backend`, which derives from it, has
///   reports_waiting()    whether a report says how many wait (accept_source::reported)
///   disarm(source)       the kernel is not to report that listener any more
template <class Backend>
struct accept_sources {
  // Connections come at once when the listener is reported again within this time for each that
  // the turn before accepted. A loop that needs longer gains nothing from asking how many wait.
  static constexpr instant at_once_ns = 50'000;
  static constexpr std::uint32_t longest_probe_interval = 256;

  std::uint64_t turn = 0;
  std::uint32_t accepted = 1;  // one more than the last turn that had any
  std::uint32_t accept_slots = 0;
  unsigned first_source = 0;  // whose turn it is when there is not room for all
  std::unique_ptr<inet_name[]> peers;
  std::array<accept_source, most_accept_sources> sources;

  /// `call` is for the error's text.
  result<void> open_sources(const char* call, const poller_options& options) noexcept {
    if (options.accepts_per_turn == 0 || options.accepts_per_turn >= no_buffer)
      return fail(call, "accepts_per_turn must be from 1 to 65534", EINVAL);
    if (options.accepting == accept_sharing::first_come)
      return fail(call, "accept_sharing::first_come is io_uring's", EOPNOTSUPP);
    accept_slots = options.accepts_per_turn;
    peers.reset(new (std::nothrow) inet_name[options.accepts_per_turn]);
    if (!peers) return fail(call, "memory for peers", ENOMEM);
    return {};
  }

  /// 0 when the listener may be armed, or -errno.
  int may_start(const change& wanted) const noexcept {
    if (wanted.subject.slot() >= most_accept_sources) return -ENOSPC;
    return sources[wanted.subject.slot()].armed ? -EEXIST : 0;
  }
  void started(const change& wanted) noexcept {
    accept_source& source = sources[wanted.subject.slot()];
    source = {.subject = wanted.subject, .fd = wanted.fd, .armed = true};
    source.countable = waiting_on(wanted.fd) >= 0;
  }
  void stop_accepting(accept_source& source) noexcept {
    if (!source.armed) return;
    source.armed = false;
    static_cast<Backend*>(this)->disarm(source);
  }
  /// The listener of a change, or null when it was never started, or is another one by now.
  accept_source* source_of(const change& wanted) noexcept {
    accept_source& source = sources[wanted.subject.slot() % most_accept_sources];
    return wanted.subject.what() == role::listener && source.subject == wanted.subject ? &source
                                                                                       : nullptr;
  }

  /// How many wait, when it is time to ask again; otherwise one.
  std::uint32_t probe(accept_source& source) noexcept {
    source.streak = 0;
    const int waiting = source.countable ? waiting_on(source.fd) : 1;
    if (waiting < 0) return 1;
    source.probe_interval =
        waiting > 1 ? 1 : std::min(source.probe_interval * 2, longest_probe_interval);
    return static_cast<std::uint32_t>(waiting);
  }

  /// An accept that failed. True when there is no use in another one now.
  [[gnu::noinline]] bool accept_failed(accept_source& source, int code, event*& out) noexcept {
    const accept_class failed = classify_accept_error(-code);
    const bool drained = failed == accept_class::drained;  // by others who share the listener
    const bool more = drained || failed == accept_class::retry;
    *out++ = {.subject = source.subject,
              .result = code,
              .kind = event_kind::accepted,
              .more = static_cast<std::uint8_t>(more)};
    if (!more) stop_accepting(source);
    return drained || !more;
  }

  /// Accepts what its policy allows, within `room`; writes to `out` and returns its new end.
  [[gnu::always_inline]] inline event* serve(accept_source& source, instant since_last,
                                             std::uint32_t room, event* out,
                                             std::uint32_t& used) noexcept {
    std::uint32_t want = 1;
    if (Backend::reports_waiting()) {
      want = std::min(source.reported, room);
    } else if (source.served_turn + 1 != turn || since_last >= at_once_ns * accepted) {
      source.streak = 0;
    } else if (++source.streak >= source.probe_interval) {
      want = std::min(probe(source), room);
    }
    source.served_turn = turn;
    // A failed accept takes a place like one that succeeded: the errors of a turn are bounded too.
    std::uint32_t at = used;
    for (const std::uint32_t end = used + want; at != end; ++at) {
      sockaddr_storage from;
      const int fd = stream_socket::accept_one(source.fd, from);
      if (fd < 0) [[unlikely]] {
        if (accept_failed(source, fd, out)) break;
        continue;
      }
      compact(from, peers[at]);
      *out++ = {.subject = source.subject,
                .result = fd,
                .buffer = static_cast<std::uint16_t>(at),
                .kind = event_kind::accepted,
                .more = 1};
    }
    used = at;
    return out;
  }

  /// Several listeners at once, `reported` one bit each: each in turn, beginning with the one that
  /// was left out last. Out of line, so that one listener alone stays in registers.
  [[gnu::noinline]] event* serve_several(std::uint64_t reported, instant since_last,
                                         std::uint32_t room, event* out,
                                         std::uint32_t& used) noexcept {
    reported = std::rotr(reported, static_cast<int>(first_source));
    for (; reported != 0; reported &= reported - 1) {
      const unsigned index =
          (static_cast<unsigned>(std::countr_zero(reported)) + first_source) % most_accept_sources;
      if (used >= room) {
        first_source = index;
        break;
      }
      out = serve(sources[index], since_last, room - used, out, used);
    }
    return out;
  }
};

}  // namespace hinge
