#include "predecessor.hpp"

#include <hinge/inherited_listeners.hpp>
#include <hinge/listener_passing.hpp>
#include <hinge/socket.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <span>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace hinge::serve {
namespace {

/// The stream, closed on exec from now on; empty when there is no predecessor.
result<unique_fd> stream_to_predecessor() {
  const char* const text = std::getenv(handover_variable);
  if (text == nullptr) return unique_fd();
  const std::string said = text;
  unsetenv(handover_variable);
  int fd = -1;
  const auto [end, wrong] = std::from_chars(said.data(), said.data() + said.size(), fd);
  if (wrong != std::errc() || end != said.data() + said.size() || fd <= STDERR_FILENO)
    return fail(handover_variable, said, EINVAL);
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return fail(handover_variable, said, errno);
  return unique_fd(fd);
}

}  // namespace

result<beginnings> beginnings::take() {
  beginnings made;
  made.said_ = service_manager::variables::take();
  const listener_variables listeners = listener_variables::take();
  result<unique_fd> stream = stream_to_predecessor();
  if (!stream) return fail(stream);
  made.predecessor_ = std::move(*stream);
  const result<service_manager> manager = service_manager::of(made.said_);
  if (!manager) return fail(manager);
  made.manager_ = *manager;
  result<std::vector<given_listener>> given =
      made.predecessor_ ? receive_listeners(made.predecessor_.get(), predecessor_patience)
                        : inherited_listeners(listeners);
  if (!given) return fail(given);
  made.given_ = std::move(*given);
  return made;
}

std::vector<address> beginnings::addresses() const {
  std::vector<address> all;
  for (const given_listener& one : given_)
    if (!one.datagram && one.name != metrics_name &&
        std::find(all.begin(), all.end(), one.local) == all.end())
      all.push_back(one.local);
  return all;
}

result<std::vector<listener>> beginnings::listeners_at(const address& where, bool metrics,
                                                       const serve_options& options) {
  listener_options how = metrics ? listener_options() : door_for(where, options);
  // These are what open() alone can do.
  how.reuse_port = false;
  how.unix_mode.reset();
  how.remove_stale_path = false;
  std::vector<listener> all;
  for (given_listener& one : take_listeners(given_, where, metrics ? served_name : metrics_name)) {
    if (one.path_file != path_identity{}) paths_.emplace_back(one.local, one.path_file);
    if (one.held_elsewhere) held_.push_back(one.local);
    result<listener> adopted = std::move(one).adopt(how);
    if (!adopted) return fail(adopted);
    all.push_back(std::move(*adopted));
  }
  taken_ += static_cast<std::uint32_t>(all.size());
  return all;
}

result<void> beginnings::all_taken() const {
  if (given_.empty()) return {};
  const given_listener& one = given_.front();
  const std::string what = one.local.text() + " (" + one.name + ")";
  return fail("hand-over",
              (one.datagram ? "datagrams aren't served: " : "no --listen names ") + what, EINVAL);
}

bool beginnings::held(const address& where) const {
  return std::find(held_.begin(), held_.end(), where) != held_.end();
}

result<void> beginnings::take_over() {
  if (!predecessor_) return {};
  const successor_ready said{.listeners = taken_, .pid = ::getpid()};
  const int sent = sockets::send(predecessor_.get(), std::as_bytes(std::span(&said, 1)));
  if (sent != sizeof said)
    return fail("hand-over", "telling the predecessor", sent < 0 ? -sent : EPIPE);
  pollfd asked{.fd = predecessor_.get(), .events = POLLIN, .revents = 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(predecessor_patience);
  int ready;
  do ready = ::poll(&asked, 1, static_cast<int>(patience.count()));
  while (ready < 0 && errno == EINTR);
  char word = 0;
  const auto into = std::as_writable_bytes(std::span(&word, 1));
  if (ready <= 0 || sockets::receive(predecessor_.get(), into) != 1 || word != go)
    return fail("hand-over", "the predecessor goes on itself, or has gone", ECONNABORTED);
  return {};
}

void beginnings::begin_to_serve() {
  serves_ = true;
  if (predecessor_) (void)sockets::send(predecessor_.get(), std::as_bytes(std::span(&serving, 1)));
  predecessor_.reset();
}

}  // namespace hinge::serve
