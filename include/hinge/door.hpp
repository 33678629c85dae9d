// A listener of a loop, and what the loop knows about its accepting.
#pragma once

#include <hinge/listener.hpp>
#include <hinge/time.hpp>

namespace hinge {

struct door {
  listener socket;
  bool armed = false;    // the backend accepts on it
  bool closing = false;  // to be detached, or dead
  bool detach_due = false;
  bool exhausted = false;  // waits for a descriptor until retry_at; back_off is not 0 then
  instant retry_at = 0;
  instant back_off = 0;  // 0: the last accept worked
  instant told_at = 0;   // the last exhaustion; 0: none yet
};

}  // namespace hinge
