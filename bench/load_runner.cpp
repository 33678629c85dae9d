#include "load_runner.hpp"

#include <unistd.h>

#include "own_network.hpp"
#include "print_error.hpp"
#include "progress.hpp"
#include "server_hold.hpp"
#include "server_memory.hpp"

namespace hinge::bench {

load_runner::load_runner(load_arguments& given) : given_(given) {
  const bool greets = given.load.work == workload::accept;
  if (given.served_on) {
    own_.emplace(*given.served_on, given.load.connections + given.load.beside.connections, greets);
    given.load.target = own_->where();
    backend_ = own_->poller().name();
    about_ = own_->about();
    const backend_choice& choice = own_->poller().choice();
    if (choice.fell_back()) print_error("hinge-bench: {}\n", choice.text());
  } else if (!given.served_by.empty()) {
    // Nobody else's connections are then among what the kernel counts.
    enter_fresh_network();
    started_.emplace(find_contender(given.served_by), greets ? server_work::ac : server_work::echo);
    given.load.target = address::loopback(started_->port());
    backend_ = given.served_by;
    about_ = started_->about();
  }
}

int load_runner::server() const {
  if (own_) return getpid();
  return started_ ? started_->process() : given_.server_process;
}

void load_runner::look(observation& into) const {
  into.kernel = read_kernel_counts();
  into.server = own_ ? own_->used() : usage_of_process(server());
}

report load_runner::measure(const std::atomic<bool>& stop) {
  observation before;
  memory_growth memory;
  const auto memory_now = [this] { return memory_of_process(server()); };
  load_options& load = given_.load;
  load.on_prepare = [&] { memory.before = memory_now().value_or(0); };
  load.on_prepared = [&] { memory.prepared = memory_now().value_or(0); };
  server_hold process_hold(server());
  if (load.work == workload::burst) {
    load.hold = [&](bool held) { own_ ? own_->hold(held) : process_hold.set(held); };
  }
  observation seen;
  load.on_begin = [&] { look(before); };
  load.on_end = [&] {
    look(seen);
    const std::optional<std::uint64_t> end = memory_now();
    memory.end = end.value_or(0);
    if (end && memory.before != 0) seen.memory = memory;
    seen.kernel = seen.kernel - before.kernel;
    if (!before.server) seen.server.reset();
    if (seen.server) seen.server = *seen.server - *before.server;
  };
  load_progress progress;
  std::optional<progress_line> line;
  if (!given_.quiet && shows_progress()) {
    load.progress = &progress;
    line.emplace(progress, load.warmup + load.duration);
  }
  std::optional<mid_load_command> command;
  if (!given_.command.empty())
    command.emplace(given_.command, given_.times, load.warmup, load.duration);
  report shown{load, run_load(load, stop), seen, read_environment()};
  shown.backend = backend_;
  if (!about_.empty()) shown.here.emplace_back("server", about_);
  shown.command = given_.command;
  if (command) shown.runs = command->finish(load.timeout);
  return shown;
}

}  // namespace hinge::bench
