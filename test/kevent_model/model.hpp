// kqueue(2) over epoll(7), for tests alone: written from the kevent manual pages and from what was
// seen of FreeBSD, NetBSD and libkqueue, and mostly harsher. Descriptors of it are closed
// with close(2); what is known of a closed one is forgotten when its number comes again.
//
// What is random follows from a seed: 1, or the environment's HINGE_KEVENT_SEED.
#pragma once

#include <sys/event.h>

#include <cstdint>
#include <string>
#include <vector>

namespace hinge::test::kevent_model {

/// What systems differ in, and how unkind it is. As it begins, it is as harsh as it can be.
struct behaviour {
  std::uint64_t seed = 1;
  bool shuffles = true;               ///< events of a call come in any order
  bool gives_fewer = true;            ///< a call may return less than there is
  bool wakes_spuriously = true;       ///< a call may return nothing, or what is not so
  bool counts_waiting = true;         ///< a listener's data; false: 1 (libkqueue)
  bool has_user_events = true;        ///< false: EVFILT_USER is EINVAL
  bool enable_loses_event = true;     ///< EV_ENABLE alone, of what is ready (NetBSD)
  bool adding_again_reports = false;  ///< EV_ADD of what is there and ready (FreeBSD, NetBSD)
  bool takes_error = true;            ///< fflags of EV_EOF are taken from SO_ERROR (libkqueue)
  bool errors_come_alone = true;      ///< false: with what is ready (libkqueue)
  bool keeps_closed = false;          ///< a registration outlives its descriptor (libkqueue)
  bool returns_add = false;           ///< what is returned has EV_ADD (libkqueue, NetBSD)
  bool listeners_lie = false;         ///< who waited may have gone; with wakes_spuriously
  bool acks_wake = true;              ///< the write filter, with room that was always there
  bool errors_lack_end = false;       ///< an error of a socket comes without EV_EOF
};

/// In force for all queues; another thread must not be in kevent then.
void behave(const behaviour& how);
/// No surprises that a seed decides on.
behaviour calm();
/// "seed 1, shuffled, ...": what a failed case ran with.
std::string text();

/// All changes since forget_changes(), as they were asked for. Kept from the first call on.
const std::vector<struct kevent>& changes();
void forget_changes();

}  // namespace hinge::test::kevent_model
