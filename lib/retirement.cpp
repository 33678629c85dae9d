#include <hinge/retirement.hpp>

#include <hinge/fd.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "listener_queue.hpp"
#include "socket_group.hpp"
#include "steering.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::chrono::milliseconds between_steps{1};
/// Who doesn't answer within the kernel's first repetition (1 s, tcp(7)) isn't there.
constexpr std::chrono::milliseconds handshake_patience{1100};
/// For what was ordered when the time was over.
constexpr std::chrono::seconds grace{1};

/// Of the first of these that is open. EBADF: none is.
unique_fd duplicate(const std::vector<loop_door>& doors) noexcept {
  unique_fd made(-EBADF);
  for (const loop_door& one : doors) {
    made = one.loop->door_at(one.listener).duplicate();
    if (made.get() != -EBADF) break;
  }
  return made;
}

}  // namespace

struct retirement::state {
  struct socket {
    std::vector<loop_door> doors;
    std::size_t number = 0;   // in `answers`
    unique_fd fd;             // a duplicate: the socket is open until this is closed
    std::uint32_t place = 0;  // in the group
    bool found = false;
    bool told = false;  // its doors are to be closed
  };
  /// What the loops say, from their threads.
  struct answers {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::size_t> open;  // doors of each socket
    std::uint64_t drained = 0;
  };
  enum class phase : std::uint8_t { fresh, finding, settling, closing, done };

  state(std::vector<std::vector<loop_door>> doors, const retire_options& chosen) noexcept;
  ~state();

  void look() noexcept;
  bool get_descriptors() noexcept;
  void begin() noexcept;
  void find() noexcept;
  void steer() noexcept;
  void put_all_off() noexcept;
  void settle_first() noexcept;
  void settle() noexcept;
  void close_next() noexcept;
  void tell(socket& one, door_exit how) noexcept;
  void look_whether_closed() noexcept;
  void close(socket& one) noexcept;
  void force() noexcept;
  void give_up() noexcept;
  void finish() noexcept;
  bool step() noexcept;
  void let_go() noexcept;
  bool doors_closed(const socket& one) const noexcept;
  std::vector<int> descriptors() const noexcept;
  void count_waiting(const socket& one) noexcept;
  /// Clients, as far as the system tells.
  std::uint32_t waiting_at(const socket& one) const noexcept {
    return at.is_inet() ? static_cast<std::uint32_t>(std::max(waiting_on(one.fd.get()), 0)) : 0;
  }
  /// Who waits when a socket is closed is somebody else's.
  bool has_others() const noexcept { return report.by <= retire_guarantee::migrates; }
  bool steers() const noexcept { return report.by == retire_guarantee::steers; }

  retire_options options;
  retire_plan plan;
  retire_report report;
  address at;
  std::vector<socket> sockets;          // that are open
  std::vector<std::uint32_t> siblings;  // their places
  std::uint32_t group = 0;              // how many sockets it has
  std::uint32_t place = 0;              // that is looked at
  phase now_is = phase::fresh;
  bool forced = false;
  bool lacking = false;  // descriptors, to look with; there may be some later
  instant began = 0;
  instant settling_since = 0;
  unsigned looks = 0;
  deadline next = deadline::immediately();
  std::vector<inet_name> handshakes;
  std::vector<std::uint16_t> asked_from;  // ports of our own questions
  std::shared_ptr<answers> heard = std::make_shared<answers>();
};

// --- the plan --------------------------------------------------------------------------------

retirement::state::state(std::vector<std::vector<loop_door>> doors,
                         const retire_options& chosen) noexcept
    : options(chosen) {
  for (std::vector<loop_door>& of_one : doors) {
    if (of_one.empty()) continue;
    unique_fd fd = duplicate(of_one);
    if (fd.get() == -EBADF) continue;
    at = of_one.front().loop->listener_at(of_one.front().listener).local();
    heard->open.push_back(of_one.size());
    sockets.push_back({.doors = std::move(of_one),
                       .number = sockets.size(),
                       .fd = std::move(fd),
                       .place = static_cast<std::uint32_t>(sockets.size())});
  }
  plan.sockets = static_cast<std::uint32_t>(sockets.size());
  look();
}

/// There may have been too few before.
bool retirement::state::get_descriptors() noexcept {
  for (socket& one : sockets)
    if (!one.fd) one.fd = duplicate(one.doors);
  return std::ranges::all_of(sockets, [](const socket& one) { return bool(one.fd); });
}

void retirement::state::look() noexcept {
  const bool complete = get_descriptors();
  if (at.is_inet() && complete) {
    plan.queued = 0;
    for (const socket& one : sockets) *plan.queued += waiting_at(one);
  }
  if (options.held_elsewhere) plan.guarantee = retire_guarantee::held;
  if (options.held_elsewhere || sockets.empty() || !at.is_inet()) return;
  const int size = complete ? group_size(sockets.front().fd.get(), at) : -EMFILE;
  lacking = size == -EMFILE || size == -ENFILE;
  plan.siblings_known = size >= 0;
  if (size > static_cast<int>(plan.sockets))
    plan.siblings = static_cast<std::uint32_t>(size) - plan.sockets;
  plan.guarantee = plan.siblings != 0 && clients_migrate() ? retire_guarantee::migrates
                   : !can_steer()                          ? retire_guarantee::empties
                   : plan.siblings != 0                    ? retire_guarantee::steers
                                                           : retire_guarantee::puts_off;
}

// --- the steps -------------------------------------------------------------------------------

void retirement::state::begin() noexcept {
  // Nothing can be done to a socket by nothing.
  if (!get_descriptors() && !options.held_elsewhere) plan.guarantee = retire_guarantee::empties;
  report.by = plan.guarantee;
  for (const socket& of : sockets)
    for (const loop_door& one : of.doors)
      one.loop->post([one, number = of.number, told = heard] {
        one.loop->doors_.retire(one.listener, [told, number](std::uint64_t drained) {
          const std::lock_guard lock(told->mutex);
          --told->open[number];
          told->drained += drained;
          told->changed.notify_all();
        });
        one.loop->doors_moved();
      });
  switch (plan.guarantee) {
    case retire_guarantee::steers:
      now_is = phase::finding;
      break;
    case retire_guarantee::puts_off:
      put_all_off();
      break;
    case retire_guarantee::held:
    case retire_guarantee::migrates:
    case retire_guarantee::empties:
      close_next();
      break;
  }
}

/// One place of the group. Ours come first as a rule: they have listened longest.
void retirement::state::find() noexcept {
  if (place == 0) {
    siblings.clear();
    for (socket& one : sockets) one.found = false;
    const int size = group_size(sockets.front().fd.get(), at);
    if (size <= static_cast<int>(sockets.size())) return put_all_off();
    group = static_cast<std::uint32_t>(size);
  }
  const int found = who_is_at(place, descriptors(), at, asked_from);
  if (found >= 0) {
    socket& one = sockets[static_cast<std::size_t>(found)];
    one.found = true;
    one.place = place;
  } else if (found == -1) {
    siblings.push_back(place);
  }
  ++place;
  if (std::ranges::all_of(sockets, &socket::found)) {
    for (; place < group; ++place) siblings.push_back(place);
    place = 0;
    steer();
  } else if (place == group || (found < 0 && found != -1)) {
    place = 0;
    put_all_off();
  }
}

/// Somebody may have come or gone since the places were found.
void retirement::state::steer() noexcept {
  const int fd = sockets.front().fd.get();
  if (steer_to(fd, siblings) < 0) return put_all_off();
  report.steered = static_cast<std::uint32_t>(siblings.size());
  if (group_size(fd, at) == static_cast<int>(group)) return settle_first();
  now_is = phase::finding;
}

/// Also when it can't be found out whom the kernel would steer to.
void retirement::state::put_all_off() noexcept {
  report.by = retire_guarantee::puts_off;
  report.steered = 0;
  for (const socket& one : sockets) put_off(one.fd.get());
  steer_freely(sockets.front().fd.get());
  settle_first();
}

/// Those who have begun to connect come to their end, or are nobody.
void retirement::state::settle_first() noexcept {
  now_is = phase::settling;
  settling_since = now();
  looks = 1;
  if (handshakes_at(at, handshakes) < 0) handshakes.clear();
  std::erase_if(handshakes, [&](const inet_name& one) {
    return std::ranges::find(asked_from, one.port) != asked_from.end();
  });
}

void retirement::state::settle() noexcept {
  std::vector<inet_name> still;
  if (handshakes_at(at, still) < 0) still.clear();
  std::erase_if(handshakes,
                [&](const inet_name& one) { return std::ranges::find(still, one) == still.end(); });
  // Twice: another CPU may have been busy with one when the first look was taken.
  if (++looks < 3) return;
  if (!handshakes.empty() && now() - settling_since < nanoseconds(handshake_patience).count())
    return;
  report.lost += handshakes.size();
  handshakes.clear();
  close_next();
}

/// Those that are steered around, one at a time: when one leaves, the places change, and until the
/// program is right again one of the others may be chosen, which accepts as before.
void retirement::state::close_next() noexcept {
  now_is = phase::closing;
  const door_exit how = has_others() ? door_exit::left_to_others : door_exit::when_empty;
  if (!steers()) {
    for (socket& one : sockets) tell(one, how);
  } else {
    socket& last = *std::ranges::max_element(sockets, {}, &socket::place);
    // Nobody comes, unless somebody else has steered the group meanwhile.
    put_off(last.fd.get());
    tell(last, how);
  }
  look_whether_closed();
}

void retirement::state::tell(socket& one, door_exit how) noexcept {
  one.told = true;
  for (const loop_door& each : one.doors)
    each.loop->post([each, how] { each.loop->close_listener(each.listener, how); });
}

bool retirement::state::doors_closed(const socket& one) const noexcept {
  const std::lock_guard lock(heard->mutex);
  return heard->open[one.number] == 0;
}

void retirement::state::look_whether_closed() noexcept {
  for (std::size_t i = 0; i < sockets.size();) {
    if (!sockets[i].told || !doors_closed(sockets[i])) {
      ++i;
      continue;
    }
    close(sockets[i]);
    sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (sockets.empty()) return finish();
  if (!steers() || forced || std::ranges::any_of(sockets, &socket::told)) return;
  steer();
}

void retirement::state::count_waiting(const socket& one) noexcept {
  (has_others() ? report.handed_over : report.lost) += waiting_at(one);
}

/// The last one takes the program away with it, for the sake of those who listen later, and hears
/// nobody from then to its end. That comes sooner by a shutdown than by a close, and also when a
/// child of the process has inherited the descriptor.
void retirement::state::close(socket& one) noexcept {
  const int fd = one.fd.get();
  count_waiting(one);
  if (steers() && sockets.size() == 1) steer_freely(fd);
  if (!has_others() && at.is_inet()) sys::shutdown(fd, SHUT_RDWR);
  one.fd.reset();
  if (!steers()) return;
  --group;
  for (socket& other : sockets)
    if (other.place == group) other.place = one.place;
  std::ranges::replace(siblings, group, one.place);
}

/// The time is over. Nobody comes any more, nor waits, also where a loop has no room yet for whom
/// its ring has accepted.
void retirement::state::force() noexcept {
  forced = true;
  report.lost += handshakes.size();
  handshakes.clear();
  now_is = phase::closing;
  if (plan.guarantee == retire_guarantee::steers) steer_freely(sockets.front().fd.get());
  for (socket& one : sockets) {
    if (!has_others() && one.fd) {
      count_waiting(one);
      sys::shutdown(one.fd.get(), SHUT_RDWR);
    }
    tell(one, door_exit::at_once);
  }
}

/// Before the first step nothing was done that could be undone.
void retirement::state::give_up() noexcept {
  if (now_is == phase::done) return;
  if (began == 0) began = now();
  if (now_is != phase::fresh && !forced) force();
  finish();
}

void retirement::state::finish() noexcept {
  let_go();
  now_is = phase::done;
  sockets.clear();
  const std::lock_guard lock(heard->mutex);
  report.drained = heard->drained;
  report.took = nanoseconds(now() - began);
}

/// No program and no filter stays behind.
void retirement::state::let_go() noexcept {
  if (now_is == phase::fresh || now_is == phase::done || sockets.empty() || !at.is_inet()) return;
  if (plan.guarantee == retire_guarantee::steers) steer_freely(sockets.front().fd.get());
  for (const socket& one : sockets) hear_all(one.fd.get());
}

retirement::state::~state() { let_go(); }

std::vector<int> retirement::state::descriptors() const noexcept {
  std::vector<int> all;
  for (const socket& one : sockets) all.push_back(one.fd.get());
  return all;
}

bool retirement::state::step() noexcept {
  if (now_is == phase::fresh && began == 0) began = now();
  const deadline end = deadline::after(began, options.within);
  if (now_is == phase::fresh) {
    if (lacking) look();
    if (!lacking || deadline::after(began, options.within / 4).passed(now())) begin();
  } else if (!forced && now_is != phase::done && end.passed(now())) {
    force();
  } else if (now_is == phase::finding) {
    find();
  } else if (now_is == phase::settling) {
    settle();
  } else if (now_is == phase::closing) {
    look_whether_closed();
  }
  if (forced && now_is != phase::done && deadline::after(end.when(), grace).passed(now())) finish();
  next = now_is == phase::finding ? deadline::immediately() : deadline::after(now(), between_steps);
  return now_is == phase::done;
}

// --- from outside ----------------------------------------------------------------------------

retirement::retirement(loop_base& loop, std::size_t listener,
                       const retire_options& options) noexcept
    : retirement({{{.loop = &loop, .listener = listener}}}, options) {}
retirement::retirement(const std::vector<std::vector<loop_door>>& sockets,
                       const retire_options& options) noexcept
    : state_(std::make_unique<state>(sockets, options)) {}
retirement::retirement(retirement&&) noexcept = default;
retirement::~retirement() = default;

const retire_plan& retirement::plan() const noexcept { return state_->plan; }
const retire_report& retirement::report() const noexcept { return state_->report; }
bool retirement::step() noexcept { return state_->step(); }
void retirement::give_up() noexcept { state_->give_up(); }
deadline retirement::next() const noexcept { return state_->next; }

void retirement::wait() const noexcept {
  if (state_->now_is == state::phase::finding) return;
  std::unique_lock lock(state_->heard->mutex);
  state_->heard->changed.wait_for(lock, between_steps);
}

const retire_report& retirement::run() noexcept {
  while (!step()) wait();
  return report();
}

retire_report run_all(std::span<retirement> all, const std::function<bool()>& loops_end) noexcept {
  for (;;) {
    const retirement* unfinished = nullptr;
    for (retirement& one : all)
      if (!one.step()) unfinished = &one;
    if (unfinished == nullptr) break;
    if (loops_end && loops_end()) {
      for (retirement& one : all) one.give_up();
      break;
    }
    unfinished->wait();
  }
  retire_report sum;
  for (const retirement& one : all) {
    const retire_report& its = one.report();
    sum.by = &one == &all.front() ? its.by : std::max(sum.by, its.by);
    sum.steered += its.steered;
    sum.drained += its.drained;
    sum.handed_over += its.handed_over;
    sum.lost += its.lost;
    sum.took = std::max(sum.took, its.took);
  }
  return sum;
}

}  // namespace hinge
