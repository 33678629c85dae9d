// kqueue(2) as the tests' model of it has it (test/kevent_model/model.hpp). The values are those of
// FreeBSD. With HINGE_KEVENT_MODEL_NO_USER there is no EVFILT_USER, as on some systems; tests
// (HINGE_UNMASKED) see it all the same.
#pragma once

#include <stdint.h>
#include <time.h>

struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  int64_t data;
  void* udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#if !defined HINGE_KEVENT_MODEL_NO_USER || defined HINGE_UNMASKED
#define EVFILT_USER (-11)
#define NOTE_TRIGGER 0x01000000
#endif

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

extern "C" {
int kqueue();
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* into, int room,
           const struct timespec* wait);
}
