// What each accept policy opens.

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <utility>

#include "listener_options.hpp"
#include "server_state.hpp"
#include "socket_group.hpp"
#include "steering.hpp"
#include "sys.hpp"

namespace hinge {

namespace {

constexpr std::uint32_t most_loops = 1024;
constexpr std::uint32_t most_threads = 256;  // thread_per_connection, where none are asked for

constexpr accept_sharing sharing_of(accept_policy which) noexcept {
  return which == accept_policy::shared_fifo        ? accept_sharing::first_come
         : which == accept_policy::shared_exclusive ? accept_sharing::exclusive
                                                    : accept_sharing::alone;
}

result<listener> duplicate(const listener& of) noexcept {
  const int fd = sys::fcntl(of.fd(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return fail("fcntl", "F_DUPFD_CLOEXEC of a listener", -fd);
  unique_fd made(fd);
  return listener::adopt(made, {.backlog = of.asked_backlog()});
}

}  // namespace

result<void> server_base::state::plan() noexcept {
  const auto refuse = [](const char* what, int code) { return fail("open server", what, code); };
  if (options.loops > most_loops) return refuse("loops is over 1024", EINVAL);
  policy = options.policy;
  const bool own_threads = policy == accept_policy::thread_per_connection;
  cpus = usable_cpus();
  count = options.loops != 0 ? options.loops
          : own_threads      ? most_threads
                             : static_cast<std::uint32_t>(cpus.size());
  if (own_threads && options.loop.max_connections != 0)
    count = std::min(count, options.loop.max_connections);
  if (accepts_apart() && options.loop.source.max_connections != 0)
    return refuse("source.max_connections isn't counted across loops", EOPNOTSUPP);
  if (accepts_apart() && options.loop.source_network.max_connections != 0)
    return refuse("source_network.max_connections isn't counted across loops", EOPNOTSUPP);
  of_each = options.loop;
  // A part has to hold what one connection may queue; less than that for all is refused as it is.
  const std::size_t least =
      std::min<std::size_t>(of_each.queue_total_bytes, of_each.queue_limit_bytes);
  of_each.queue_total_bytes = std::max(of_each.queue_total_bytes / count, least);
  if (own_threads) {
    of_each.max_connections = 1;
  } else if (of_each.max_connections == 0) {
    rlimit limit;
    const int failed = sys::getrlimit(RLIMIT_NOFILE, &limit);
    if (failed < 0) return fail("getrlimit", "RLIMIT_NOFILE", -failed);
    if (limit.rlim_cur <= options.loop.head_room + count)
      return refuse("head_room and loops are not below the descriptor limit", EINVAL);
    of_each.max_connections = static_cast<std::uint32_t>(
        std::min<rlim_t>((limit.rlim_cur - options.loop.head_room) / count, token::max_slots));
  }
  workers.reset(new (std::nothrow) worker[count]);
  if (!workers) return refuse("memory for loops", ENOMEM);
  for (std::uint32_t i = 0; i < count; ++i) {
    workers[i].of = this;
    workers[i].index = i;
    if (options.pin || policy == accept_policy::sharded_cpu) workers[i].cpu = cpus[i % cpus.size()];
  }
  accepting.of = this;
  accepting.index = acceptor;
  server.expect_loops(count);
  return {};
}

result<void> server_base::state::open_loops() noexcept {
  if (options.policy != accept_policy::automatic) return open_with(options.policy, "asked for");
  const result<void> in_turn = open_with(
      accept_policy::shared_fifo, "automatic: each loop asks for one connection when it has time");
  if (in_turn) return in_turn;
  // Whatever refuses a ring, to the first loop or to the last.
  const result<void> woken =
      open_with(accept_policy::shared_exclusive,
                "automatic: the kernel wakes a loop that has time; first come, first served needs "
                "an io_uring for each");
  return woken ? woken : in_turn;
}

result<void> server_base::state::open_with(accept_policy which, const char* why) noexcept {
  policy = which;
  reason = why;
  of_each.accepting = sharing_of(which);
  if (accepts_apart()) {
    loop_options only_accepts = options.loop;
    only_accepts.max_connections = only_accepts.accepts_per_turn;
    if (!accepting.inbox.open(4 * only_accepts.events_per_turn))
      return fail("open server", "memory for connections on their way", ENOMEM);
    const result<loop_base*> opened = open_one(accepting, only_accepts);
    if (!opened) return fail(opened);
    accepting.loop = *opened;
    const auto give = [](void* self, const handed_connection& accepted) noexcept {
      return static_cast<state*>(self)->give(accepted);
    };
    accepting.loop->take_part({.give = give, .whom = this});
  }
  if (which == accept_policy::thread_per_connection) return {};
  for (worker& one : all_workers()) {
    const result<loop_base*> opened = open_one(one, of_each);
    if (!opened) return fail(opened);
    one.loop = *opened;
  }
  return {};
}

/// Its loop, which is to be shown to others yet.
result<loop_base*> server_base::state::open_one(worker& one, const loop_options& with) noexcept {
  loop_base* const made = server.make_loop(one.index);
  if (made == nullptr) return fail("open server", "memory for a loop", ENOMEM);
  if (result<void> opened = server.open_loop(one.index, with); !opened) return fail(opened);
  one.backend = server.backend_of(one.index);
  if (!accepts_apart() || &one == &accepting) return made;
  if (!one.inbox.open(with.max_connections))
    return fail("open server", "memory for connections on their way", ENOMEM);
  made->take_part({.inbox = &one.inbox, .by = accepting.loop});
  return made;
}

// --- listening -----------------------------------------------------------------------------------

result<std::size_t> server_base::listen(const address& where, const listener_options& options,
                                        const door_options& door) noexcept {
  if (!state_ || state_->started)
    return fail("listen", "the server isn't open, or has been started", EINVAL);
  if (result<void> fine = may_listen(where, 1, true, door); !fine) return fail(fine);
  listener_options of_first = options;
  of_first.reuse_port = options.reuse_port || opens_groups();
  result<listener> opened = listener::open(where, of_first);
  if (!opened) return fail(opened);
  std::vector<listener> one;
  one.push_back(std::move(*opened));
  return listen(std::move(one), options, door);
}

result<std::size_t> server_base::listen(std::vector<listener> given,
                                        const listener_options& options,
                                        const door_options& door) noexcept {
  if (!state_ || state_->started)
    return fail("listen", "the server isn't open, or has been started", EINVAL);
  state& s = *state_;
  const auto elsewhere = [&](const listener& one) {
    return !one || one.local() != given.front().local();
  };
  if (given.empty() || std::any_of(given.begin(), given.end(), elsewhere))
    return fail("listen", "sockets of one address are wanted", EINVAL);
  const std::size_t first = listeners();
  const result<void> done = s.listen(std::move(given), options, door);
  if (done) return first;
  for (state::worker& one : s.listening())
    if (one.loop->listeners() == 0) one.loop->doors_.reserve().close();
  return fail(done);
}

/// Whatever can fail comes before the first loop has its listener.
result<void> server_base::state::listen(std::vector<listener> given,
                                        const listener_options& options,
                                        const door_options& door) noexcept {
  if (accepts_apart())
    if (result<void> fine = check_door(door); !fine) return fine;
  const std::size_t more = shards() ? wanted_beside(given.size()) / count : given.size();
  const family of = given.front().local().family();
  for (worker& one : listening())
    if (result<void> fine = one.loop->expect_listeners(more, of); !fine) return fine;
  result<std::vector<listener>> made = for_each_loop(std::move(given), options);
  if (!made) return fail(made);
  for (auto next = made->begin(); next != made->end();)
    for (worker& one : listening()) {
      const result<std::size_t> index = one.loop->listen(std::move(*next++));
      assert(index);
      one.loop->set_door(*index, door);
    }
  return {};
}

/// A socket for each loop, and another round of them for each index.
result<std::vector<listener>> server_base::state::for_each_loop(
    std::vector<listener> given, const listener_options& options) noexcept {
  if (accepts_apart()) return given;
  if (shards()) {
    const std::size_t wanted = wanted_beside(given.size());
    if (result<void> opened = open_more(given, wanted, options); !opened) return fail(opened);
    if (policy == accept_policy::sharded_cpu)
      if (result<void> steered = steer(given); !steered) return fail(steered);
    return given;
  }
  std::vector<listener> all;
  for (const listener& one : given)
    for (std::uint32_t i = 0; i < count; ++i) {
      result<listener> made = duplicate(one);
      if (!made) return fail(made);
      all.push_back(std::move(*made));
    }
  std::ranges::move(given, std::back_inserter(shared));
  return all;
}

result<void> server_base::may_listen(const address& where, std::size_t sockets, bool reuse_port,
                                     const door_options& door) const noexcept {
  const state& s = *state_;
  return s.shards()          ? s.check_group(where, sockets, reuse_port)
         : s.accepts_apart() ? s.check_door(door)
                             : result<void>();
}

bool server_base::opens_groups() const noexcept { return state_->shards() && state_->count > 1; }

result<void> server_base::state::check_group(const address& at, std::size_t given,
                                             bool reuse_port) const noexcept {
  if (wanted_beside(given) == given) return {};
  if (!at.is_inet()) return fail("listen", "a Unix socket can't be sharded", EOPNOTSUPP);
  if (!reuse_port)
    return fail("listen", "sharded, and what was given has no SO_REUSEPORT", EOPNOTSUPP);
  return {};
}

result<void> server_base::state::check_door(const door_options& door) const noexcept {
  if (door.max_connections != 0)
    return fail("listen", "max_connections of a listener isn't counted across loops", EOPNOTSUPP);
  if (door.max_pending != 0)
    return fail("listen", "max_pending of a listener isn't counted across loops", EOPNOTSUPP);
  return {};
}

/// The group's others, beside the one or the several that there are.
result<void> server_base::state::open_more(std::vector<listener>& group, std::size_t wanted,
                                           const listener_options& options) noexcept {
  const address at = group.front().local();
  const bool shares = at.is_inet() && shares_port(group.front().fd()) == 1;
  if (result<void> fine = check_group(at, group.size(), shares); !fine) return fine;
  listener_options mine = options;
  mine.reuse_port = true;
  while (group.size() < wanted) {
    result<listener> opened = listener::open(at, mine);
    if (!opened) return fail(opened);
    group.push_back(std::move(*opened));
  }
  return {};
}

/// By both ways: a program is the group's, and gone with the first sibling that retires, and what
/// the option says stays with each socket. A program that came beside others' sockets would name
/// theirs.
result<void> server_base::state::steer(const std::vector<listener>& group) noexcept {
  const bool by_option = options.by_incoming_cpu;
  if (by_option || count <= cpus.size())  // of one more than CPUs the option knows nothing
    for (std::size_t i = 0; i < group.size(); ++i) {
      const int failed = prefer_cpu(group[i].fd(), workers[i % count].cpu);
      if (failed < 0 && by_option) return fail("setsockopt", "SO_INCOMING_CPU", -failed);
    }
  const int fd = group.front().fd();
  if (by_option || count == 1 ||
      group_size(fd, group.front().local()) > static_cast<int>(group.size()))
    return {};
  const int failed = steer_by_cpu(fd, cpus, count);
  if (failed < 0) return fail("setsockopt", "SO_ATTACH_REUSEPORT_CBPF", -failed);
  return {};
}

void server_base::each_listener(
    const std::function<void(std::size_t, const listener&)>& tell) const noexcept {
  const state& s = *state_;
  const std::size_t each = s.shards() ? s.count : 1;
  for (std::size_t index = 0; index < listeners(); ++index)
    for (std::size_t i = 0; i < each; ++i)
      tell(index, s.shards()          ? s.workers[i].loop->listener_at(index)
                  : s.accepts_apart() ? s.accepting.loop->listener_at(index)
                                      : s.shared[index]);
}

/// Where loops share a listener, theirs are duplicates.
void server_base::set_path_file(std::size_t index, const path_identity& file) noexcept {
  state& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (!s.shards() && !s.accepts_apart()) return s.shared[index].set_path_file(file);
  loop_base& owner = *s.listening().front().loop;
  if (!s.started) return owner.set_path_file(index, file);
  owner.post([&owner, index, file] { owner.set_path_file(index, file); });
}

result<void> server_base::set_door(std::size_t index, const door_options& door) noexcept {
  state& s = *state_;
  assert(index < listeners());
  if (s.accepts_apart())
    if (result<void> fine = s.check_door(door); !fine) return fine;
  const std::lock_guard lock(s.mutex);
  for (state::worker& one : s.listening()) {
    loop_base& loop = *one.loop;
    if (s.started) {
      loop.post([&loop, index, door] { loop.set_door(index, door); });
    } else {
      loop.set_door(index, door);
    }
  }
  return {};
}

}  // namespace hinge
