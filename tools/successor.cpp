#include "successor.hpp"

#include <hinge/socket.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "predecessor.hpp"
#include "print_error.hpp"

extern char** environ;

namespace hinge::serve {
namespace {

constexpr int look_every_ms = 20;  // whether the child has ended, or the attempt was called off

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& one : texts) all.push_back(one.data());
  all.push_back(nullptr);
  return all;
}

/// This process's, and what was taken out of it for this process alone.
std::vector<std::string> environment_for(const service_manager::variables& manager) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) all.emplace_back(*one);
  if (manager.notify_socket) all.push_back("NOTIFY_SOCKET=" + *manager.notify_socket);
  // WATCHDOG_PID would be this process's.
  if (manager.watchdog_usec) all.push_back("WATCHDOG_USEC=" + *manager.watchdog_usec);
  return all;
}

int kill_and_wait(pid_t pid) {
  int status = 0;
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

successor::successor(const upgrade_options& options, std::vector<outgoing_listener> listeners,
                     const service_manager& manager, const service_manager::variables& of_manager,
                     const sigset_t& signals)
    : options_(options),
      listeners_(std::move(listeners)),
      manager_(manager),
      environment_(environment_for(of_manager)),
      signals_(signals) {}

successor::~successor() {
  cancel();
  if (thread_.joinable()) thread_.join();
}

void successor::begin(std::function<void()> followed) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_ || cancelled_ || report_.successor != -1) return;
    busy_ = true;
    ++report_.attempts;
  }
  if (thread_.joinable()) thread_.join();
  try {
    thread_ = std::thread([this, followed = std::move(followed)] { attempt(followed); });
  } catch (const std::system_error& none) {
    failed(error("upgrade", fmt::format("to {}: a thread: {}", options_.program, none.what()),
                 none.code().value()));
  }
}

bool successor::cancel() {
  std::unique_lock lock(mutex_);
  cancelled_ = true;
  // Whoever is about to close the listeners waits no longer than that takes.
  if (sending_ >= 0) ::shutdown(sending_, SHUT_RDWR);
  sent_.wait(lock, [this] { return sending_ < 0; });
  return report_.successor == -1;
}

bool successor::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

upgrade_report successor::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

void successor::attempt(const std::function<void()>& followed) {
  (void)manager_.reloading();
  const result<pid_t> pid = follow();
  if (!pid) {
    failed(pid.error());
    if (!cancelled()) (void)manager_.ready();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    busy_ = false;
  }
  followed();
}

void successor::failed(const error& why) {
  {
    const std::lock_guard lock(mutex_);
    busy_ = false;
    ++report_.failures;
    report_.last_error = fmt::format("{} {}", why.call(), why.argument());
  }
  hinge::print_error("hinge-serve: {} {}; process {} goes on\n", why.call(), why.argument(),
                     ::getpid());
}

/// All of it up to the word by which the other one takes over.
result<pid_t> successor::follow() {
  const deadline until = deadline::after(now(), options_.timeout);
  result<child> started = start();
  if (!started) return fail(started);
  const child made = std::move(*started);
  const result<void> sent = send_to(made, until);
  // Whom it couldn't be sent to has ended, and says why by that.
  if (!sent && sent.error().code() != EPIPE && sent.error().code() != ECONNRESET) {
    kill_and_wait(made.pid);
    return fail("upgrade", fmt::format("to {}: {}", options_.program, sent.error().text()),
                sent.error().code());
  }
  const result<std::int64_t> ready = hear(made, until);
  if (!ready) return fail(ready);
  (void)manager_.main_process(*ready);
  {
    // Whoever calls it off from here on is told that it is too late.
    const std::lock_guard lock(mutex_);
    if (!cancelled_ && sockets::send(made.stream.get(), std::as_bytes(std::span(&go, 1))) == 1)
      report_.successor = static_cast<pid_t>(*ready);
  }
  // As much time again: until here it has changed nothing, and what a slow start took isn't its.
  if (report().successor != -1 && serves(made, deadline::after(now(), options_.timeout)))
    return static_cast<pid_t>(*ready);
  const failure ended = gone(made.pid, kill_and_wait(made.pid), "served");
  (void)manager_.main_process(::getpid());
  const std::lock_guard lock(mutex_);
  report_.successor = -1;
  if (cancelled_)
    return fail("upgrade", fmt::format("to {}: called off", options_.program), ECANCELED);
  return ended;
}

/// What is called off in the midst of it is as if the other end had gone.
result<void> successor::send_to(const child& made, deadline until) {
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return fail("upgrade", "called off", EPIPE);
    sending_ = made.stream.get();
  }
  const nanoseconds left(std::max<instant>(until.when() - now(), 0));
  result<void> sent = send_listeners(made.stream.get(), listeners_, left);
  const std::lock_guard lock(mutex_);
  sending_ = -1;
  sent_.notify_all();
  return sent;
}

/// It has begun: this process still accepts, beside it.
bool successor::serves(const child& of, deadline until) const {
  pollfd asked{.fd = of.stream.get(), .events = POLLIN, .revents = 0};
  while (::poll(&asked, 1, look_every_ms) <= 0)
    if (until.passed(now())) return false;
  char word = 0;
  return sockets::receive(of.stream.get(), std::as_writable_bytes(std::span(&word, 1))) == 1 &&
         word == serving;
}

result<successor::child> successor::start() const {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
    return fail("upgrade", fmt::format("a Unix stream: {}", errno_name(errno)), errno);
  child made{.stream = unique_fd(ends[0])};
  const unique_fd theirs(ends[1]);
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);  // nobody else starts programs here
  std::vector<std::string> arguments = options_.arguments;
  arguments[0] = options_.program;
  std::vector<std::string> environment = environment_;
  environment.push_back(fmt::format("{}={}", handover_variable, theirs.get()));
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  // Onto itself: that ends its FD_CLOEXEC (POSIX.1-2024).
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), theirs.get());
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &signals_);
  const int failed = ::posix_spawnp(&made.pid, options_.program.c_str(), &actions, &attributes,
                                    pointers_to(arguments).data(), pointers_to(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    return fail(
        "upgrade",
        fmt::format("to {}: {}: {}", options_.program, errno_name(failed), errno_meaning(failed)),
        failed);
  return made;
}

/// Waits for what a successor says when it is ready; its pid. One that fails is no more.
result<std::int64_t> successor::hear(const child& of, deadline until) const {
  std::string said;
  for (;;) {
    pollfd asked{.fd = of.stream.get(), .events = POLLIN, .revents = 0};
    if (said.size() < sizeof(successor_ready) && ::poll(&asked, 1, look_every_ms) > 0) {
      char bytes[sizeof(successor_ready)];
      const ssize_t count =
          ::recv(of.stream.get(), bytes, sizeof bytes - said.size(), MSG_DONTWAIT);
      if (count > 0) said.append(bytes, static_cast<std::size_t>(count));
      if (count == 0) ::poll(nullptr, 0, look_every_ms);  // its end: it is about to exit
    }
    if (said.size() == sizeof(successor_ready)) return judge(of, said);
    int status = 0;
    if (::waitpid(of.pid, &status, WNOHANG) == of.pid) return gone(of.pid, status, "was ready");
    if (!until.passed(now()) && !cancelled()) continue;
    kill_and_wait(of.pid);
    const double wait = std::chrono::duration<double>(options_.timeout).count();
    return fail("upgrade",
                cancelled() ? fmt::format("to {}: called off", options_.program)
                            : fmt::format("to {}: process {} was not ready within {} s: killed",
                                          options_.program, of.pid, wait),
                ETIMEDOUT);
  }
}

result<std::int64_t> successor::judge(const child& of, const std::string& said) const {
  successor_ready ready;
  std::memcpy(&ready, said.data(), sizeof ready);
  std::string wrong;
  if (ready.mark != successor_ready::expected_mark) {
    wrong = "is no hinge-serve that can follow";
  } else if (ready.listeners != listeners_.size()) {
    wrong = fmt::format("listens on {} of {} sockets", ready.listeners, listeners_.size());
  }
  if (wrong.empty()) return ready.pid;
  kill_and_wait(of.pid);
  return fail("upgrade",
              fmt::format("to {}: process {} {}: killed", options_.program, of.pid, wrong), EPROTO);
}

failure successor::gone(pid_t pid, int status, std::string_view before) const {
  const std::string how = WIFSIGNALED(status)
                              ? fmt::format("was killed by signal {}", WTERMSIG(status))
                              : fmt::format("ended with exit code {}", WEXITSTATUS(status));
  return fail("upgrade",
              fmt::format("to {}: process {} {} before it {}", options_.program, pid, how, before),
              ECHILD);
}

}  // namespace hinge::serve
