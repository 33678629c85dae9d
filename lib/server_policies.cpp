// What each accept policy opens.

#include <cerrno>
#include <utility>

#include "server_state.hpp"
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
  of_each = options.loop;
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
    if (result<void> opened = open_one(accepting, only_accepts); !opened) return opened;
    const auto give = [](void* self, const handed_connection& accepted) noexcept {
      return static_cast<state*>(self)->give(accepted);
    };
    accepting.loop->take_part({.give = give, .whom = this});
  }
  if (which == accept_policy::thread_per_connection) return {};
  for (worker& one : all_workers())
    if (result<void> opened = open_one(one, of_each); !opened) return opened;
  return {};
}

result<void> server_base::state::open_one(worker& one, const loop_options& with) noexcept {
  one.loop = server.make_loop(one.index);
  if (one.loop == nullptr) return fail("open server", "memory for a loop", ENOMEM);
  if (result<void> opened = server.open_loop(one.index, with); !opened) return opened;
  one.backend = server.backend_of(one.index);
  if (!accepts_apart() || &one == &accepting) return {};
  if (!one.inbox.open(with.max_connections))
    return fail("open server", "memory for connections on their way", ENOMEM);
  one.loop->take_part({.inbox = &one.inbox, .by = accepting.loop});
  return {};
}

// --- listening -----------------------------------------------------------------------------------

result<std::size_t> server_base::listen(const address& where, const listener_options& options,
                                        const door_options& door) noexcept {
  if (!state_ || state_->started)
    return fail("listen", "the server isn't open, or has been started", EINVAL);
  state& s = *state_;
  if (s.accepts_apart()) return s.listen_apart(where, options, door);
  if (sharing_of(s.policy) != accept_sharing::alone) return s.listen_shared(where, options, door);
  return s.listen_sharded(where, options, door);
}

result<std::size_t> server_base::state::listen_apart(const address& where,
                                                     const listener_options& options,
                                                     const door_options& door) noexcept {
  if (door.max_connections != 0)
    return fail("listen", "max_connections of a listener isn't counted across loops", EOPNOTSUPP);
  if (door.max_pending != 0)
    return fail("listen", "max_pending of a listener isn't counted across loops", EOPNOTSUPP);
  result<std::size_t> index = accepting.loop->listen(where, options);
  if (index) accepting.loop->set_door(*index, door);
  return index;
}

result<std::size_t> server_base::state::listen_shared(const address& where,
                                                      const listener_options& options,
                                                      const door_options& door) noexcept {
  result<listener> opened = listener::open(where, options);
  if (!opened) return fail(opened);
  std::vector<listener> one_each;
  for (std::uint32_t i = 0; i < count; ++i) {
    result<listener> made = duplicate(*opened);
    if (!made) return fail(made);
    one_each.push_back(std::move(*made));
  }
  shared.push_back(std::move(*opened));
  return distribute(std::move(one_each), door);
}

result<std::size_t> server_base::state::listen_sharded(const address& where,
                                                       listener_options options,
                                                       const door_options& door) noexcept {
  if (!where.is_inet() && count > 1)
    return fail("listen", "a Unix socket can't be sharded", EOPNOTSUPP);
  options.reuse_port = options.reuse_port || count > 1;
  address at = where;
  std::vector<listener> one_each;
  for (worker& one : all_workers()) {
    listener_options mine = options;
    if (policy == accept_policy::sharded_cpu && this->options.by_incoming_cpu)
      mine.incoming_cpu = one.cpu;
    result<listener> opened = listener::open(at, mine);
    if (!opened) return fail(opened);
    at = opened->local();
    one_each.push_back(std::move(*opened));
  }
  if (policy == accept_policy::sharded_cpu && !this->options.by_incoming_cpu && count > 1) {
    const int failed = steer_by_cpu(one_each.front().fd(), cpus, count);
    if (failed < 0) return fail("setsockopt", "SO_ATTACH_REUSEPORT_CBPF", -failed);
  }
  return distribute(std::move(one_each), door);
}

result<std::size_t> server_base::state::distribute(std::vector<listener> one_each,
                                                   const door_options& door) noexcept {
  result<std::size_t> index = 0;
  for (worker& one : all_workers()) {
    index = one.loop->listen(std::move(one_each[one.index]));
    if (!index) return index;  // all have the same number, so the first one says so
    one.loop->set_door(*index, door);
  }
  return index;
}

}  // namespace hinge
