// Loopback TCP as the kqueue backend sees it: through the model of kevent(2).
#pragma once

#include "conformance/world.hpp"
#include "kevent_model/model.hpp"

#include <algorithm>

namespace hinge::test {

/// The harshest of all kernels.
class kqueue_world : public real_world {
public:
  explicit kqueue_world(const kevent_model::behaviour& how = {}) {
    kevent_model::behave(how);
    kevent_model::forget_changes();
  }
  ~kqueue_world() override { kevent_model::behave({}); }

  std::uint64_t registrations() const override {
    const auto& all = kevent_model::changes();
    return static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), [](const auto& one) {
      return one.udata != nullptr && one.filter == EVFILT_READ &&
             (one.flags & (EV_ADD | EV_CLEAR)) == (EV_ADD | EV_CLEAR);
    }));
  }
};

/// One without EVFILT_USER, which doesn't say how many wait, and tells errors with what is ready.
class lean_kqueue_world final : public kqueue_world {
public:
  lean_kqueue_world()
      : kqueue_world({.seed = 2,
                      .counts_waiting = false,
                      .has_user_events = false,
                      .adding_again_reports = true,
                      .takes_error = false,
                      .errors_come_alone = false,
                      .returns_add = true}) {}
};

/// libkqueue: a registration outlives its descriptor, and its number's next owner hears nothing.
class libkqueue_world final : public kqueue_world {
public:
  explicit libkqueue_world(const kevent_model::behaviour& how = {}) : kqueue_world(like(how)) {
    sys::on_libkqueue = true;
  }
  ~libkqueue_world() override { sys::on_libkqueue = false; }

private:
  static kevent_model::behaviour like(kevent_model::behaviour how) {
    how.seed = 3;
    how.counts_waiting = how.enable_loses_event = how.errors_come_alone = how.acks_wake = false;
    how.keeps_closed = how.returns_add = true;
    return how;
  }
};

}  // namespace hinge::test
