// Threads and their life: made by start(), told by drain() and stop(), waited for by join().

#include <hinge/server_base.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <iterator>
#include <utility>

#include "server_state.hpp"

namespace hinge {

server_base::server_base() noexcept = default;
server_base::~server_base() = default;

std::uint32_t server_base::loops() const noexcept { return state_ ? state_->count : 0; }
std::uint64_t server_base::max_connections() const noexcept {
  return std::uint64_t{state_->count} * state_->of_each.max_connections;
}
accept_policy server_base::policy() const noexcept { return state_->policy; }
std::string_view server_base::policy_reason() const noexcept { return state_->reason; }
std::size_t server_base::listeners() const noexcept { return state_->who_listens().listeners(); }
const listener& server_base::listener_at(std::size_t index) const noexcept {
  return state_->who_listens().listener_at(index);
}

result<void> server_base::open_base(const server_options& options) noexcept {
  if (state_) return fail("open server", "it is open", EINVAL);
  std::unique_ptr<state> made(new (std::nothrow) state(*this, options));
  if (!made) return fail("open server", "memory", ENOMEM);
  if (result<void> planned = made->plan(); !planned) return planned;
  if (result<void> opened = made->open_loops(); !opened) return opened;
  state_ = std::move(made);
  return {};
}

// --- threads ---------------------------------------------------------------------------------

result<void> server_base::start() noexcept {
  if (!state_ || state_->started) return fail("start server", "it has been started", EINVAL);
  state& s = *state_;
  result<void> begun = {};
  const auto begin = [&](state::worker& one) {
    const std::lock_guard lock(s.mutex);
    s.started = true;
    if (begun) begun = s.begin(one);
  };
  const std::uint32_t at_once = s.policy == accept_policy::thread_per_connection ? 0 : s.count;
  for (std::uint32_t i = 0; i < at_once; ++i) begin(s.workers[i]);
  if (s.accepts_apart()) begin(s.accepting);
  if (begun) return {};
  stop();
  (void)join();
  return begun;
}

/// Under the mutex.
result<void> server_base::state::begin(worker& one) noexcept {
  pthread_attr_t how;
  int failed = pthread_attr_init(&how);
  if (failed != 0) return fail("pthread_attr_init", "", failed);
  if (one.cpu >= 0) failed = pin_to(how, one.cpu);
  if (winding_down) wind_down(one);  // a thread that comes late (thread_per_connection)
  if (failed == 0) {
    one.phase = worker::runs;  // before it does
    failed = pthread_create(&one.thread, &how, run, &one);
  }
  pthread_attr_destroy(&how);
  one.joinable = failed == 0;
  if (failed == 0) {
    // It was too late to be told; the others hear of it when the accepting thread has ended.
    if (ending && (!accepts_apart() || &one == &accepting)) tell(one, *ending);
    return {};
  }
  one.phase = worker::idle;
  return fail("pthread_create", one.cpu >= 0 ? "a loop's thread, pinned" : "a loop's thread",
              failed);
}

void* server_base::state::run(void* self) noexcept {
  worker& mine = *static_cast<worker*>(self);
  state& s = *mine.of;
  const int broken = &mine == &s.accepting ? s.accept_for_loops() : s.server.run_loop(mine.index);
  const std::lock_guard lock(s.mutex);
  mine.broken = std::min(broken, 0);
  if (broken < 0) s.close_listeners(mine);
  mine.phase = worker::ended;
  mine.gone = true;
  if (s.accepts_apart()) s.accepting.loop->wake();
  if (s.all_gone()) s.close_shared();
  s.shed_left();
  s.answer(mine);
  // What it has given is theirs; nothing more will come.
  if (&mine == &s.accepting)
    for (state::worker& one : s.all_workers())
      if (one.phase == worker::runs) s.tell(one, s.ending.value_or(order{}));
  return nullptr;
}

result<void> server_base::join() noexcept {
  if (!state_) return {};
  state& s = *state_;
  result<void> ended = {};
  const auto wait_for = [&](state::worker& one) {
    if (!std::exchange(one.joinable, false)) return;
    pthread_join(one.thread, nullptr);
    if (one.broken < 0 && ended) ended = fail("turn", "a loop", -one.broken);
  };
  // It makes threads of the others.
  wait_for(s.accepting);
  for (state::worker& one : s.all_workers()) wait_for(one);
  return ended;
}

void server_base::wind_down() noexcept {
  state& s = *state_;
  const std::lock_guard lock(s.mutex);
  s.winding_down = true;
  for (state::worker& one : s.all_workers())
    if (one.phase == state::worker::runs) s.wind_down(one);
}

void server_base::state::wind_down(worker& one) noexcept {
  one.loop->post([&one] { one.of->server.wind_down_loop(one.index); });
}

void server_base::drain(nanoseconds timeout) noexcept {
  state_->end({.until = deadline::after(now(), timeout)});
}
void server_base::stop() noexcept { state_->end({.at_once = true}); }

void server_base::end() noexcept {
  if (!state_) return;
  stop();
  (void)join();
}

/// Who accepts stops first, so that nothing is given to a loop that has ended.
void server_base::state::end(const order& how) noexcept {
  const std::lock_guard lock(mutex);
  ending = how;
  close_shared();
  if (accepts_apart() && accepting.phase == worker::runs) return tell(accepting, how);
  for (worker& one : all_workers())
    if (one.phase == worker::runs) tell(one, how);
}

void server_base::state::tell(worker& one, const order& how) noexcept {
  one.loop->post([&one, how] {
    if (how.at_once) {
      one.loop->stop();
    } else {
      one.of->server.drain_loop(one.index, how.left());
    }
  });
}

/// Its poller has broken: nobody is to come to its sockets any more.
void server_base::state::close_listeners(worker& of) noexcept {
  for (std::size_t i = 0; i < of.loop->listeners(); ++i) {
    of.loop->doors_.close(i, door_exit::at_once);
    of.loop->doors_.detached(i);
  }
}

/// Under the mutex: no loop makes use of them any more, or none is to.
void server_base::state::close_shared() noexcept {
  for (listener& one : shared) one.close();
}

// --- posts and statistics ----------------------------------------------------------------------

/// Loops may be made meanwhile (thread_per_connection).
bool server_base::post(std::uint32_t loop, mailbox::function task) noexcept {
  assert(loop < state_->count);
  const std::lock_guard lock(state_->mutex);
  loop_base* const to = state_->workers[loop].loop;
  if (to != nullptr) to->post(std::move(task));
  return to != nullptr;
}

void server_base::post_all(const std::function<void(std::uint32_t)>& task) noexcept {
  for (std::uint32_t i = 0; i < state_->count; ++i) (void)post(i, [task, i] { task(i); });
}

/// Its own thread, or when it has none.
void server_base::state::answer(worker& one) noexcept {
  const telemetry seen(*one.loop);
  std::ranges::copy_n(seen.listeners().begin(), std::ssize(one.listeners), one.listeners.begin());
  one.told = {seen, one.cpu};
  one.told.backend = one.backend;
  if (std::exchange(one.asked, false) && --unanswered == 0) answered.notify_all();
}

/// It may answer yet, when somebody else has asked.
void server_base::state::give_up(worker& one) noexcept {
  if (!std::exchange(one.asked, false)) return;
  --unanswered;
  one.told.late = true;
}

server_statistics server_base::statistics(nanoseconds patience) const noexcept {
  state& s = *state_;
  const std::lock_guard one_at_a_time(s.asking);
  std::unique_lock lock(s.mutex);
  const auto ask = [&](state::worker& one) {
    if (one.loop == nullptr) return;
    one.listeners.resize(one.loop->listeners());
    if (one.phase != state::worker::runs) return s.answer(one);
    one.asked = true;
    ++s.unanswered;
    if (std::exchange(one.under_way, true)) return;
    one.loop->post([&one, &s] {
      const std::lock_guard inner(s.mutex);
      one.under_way = false;
      if (one.asked) s.answer(one);
    });
  };
  for (state::worker& one : s.all_workers()) ask(one);
  if (s.accepts_apart()) ask(s.accepting);
  const deadline until = deadline::after(now(), patience);
  while (s.unanswered != 0 && !until.passed(now())) {
    if (until.is_never()) {
      s.answered.wait(lock);
    } else {
      s.answered.wait_for(lock, nanoseconds(until.when() - now()));
    }
  }
  for (state::worker& one : s.all_workers()) s.give_up(one);
  s.give_up(s.accepting);
  return s.gathered();
}

server_statistics server_base::state::gathered() noexcept {
  server_statistics all;
  std::vector<std::uint64_t> accepted;
  for (worker& one : all_workers()) {
    if (one.loop == nullptr) continue;
    all.loops.push_back(one.told);
    accepted.push_back(one.told.counters.accepted);
    all.late += one.told.late;
  }
  if (accepts_apart()) all.acceptor = accepting.told;
  all.late += accepting.told.late;
  all.fairness = fairness_of(accepted);
  all.listeners = gathered_listeners();
  return all;
}

}  // namespace hinge
