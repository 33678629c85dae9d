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

#include "print_error.hpp"

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

/// As far as what the environment says of it can be followed; the rest is told, and ignored.
service_manager manager_of(const service_manager::variables& said) {
  const result<service_manager> all = service_manager::of(said);
  if (all) return *all;
  hinge::print_error("hinge-serve: {}; ignored\n", all.error().text());
  return service_manager::of({.notify_socket = said.notify_socket}).value_or(service_manager());
}

/// Without what open() alone can do.
listener_options for_given(listener_options how) {
  how.reuse_port = false;
  how.unix_mode.reset();
  how.remove_stale_path = false;
  return how;
}

}  // namespace

result<std::vector<listener>> place::take() {
  std::vector<listener> all = std::move(own);
  for (given_listener& one : given) {
    result<listener> adopted = std::move(one).adopt(for_given(how));
    if (!adopted) return fail(adopted);
    all.push_back(std::move(*adopted));
  }
  return all;
}

result<beginnings> beginnings::take() {
  beginnings made;
  made.said_ = service_manager::variables::take();
  const listener_variables listeners = listener_variables::take();
  result<unique_fd> stream = stream_to_predecessor();
  if (!stream) return fail(stream);
  made.predecessor_ = std::move(*stream);
  made.manager_ = manager_of(made.said_);
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

result<all_places> beginnings::places(const serve_options& options, bool group,
                                      const listen_check& check) {
  all_places all;
  for (const address& where : options.listen) {
    listener_options how = door_for(where, options);
    how.reuse_port = how.reuse_port || group;
    result<place> found = place_at(where, std::move(how), metrics_name, check);
    if (!found) return fail(found);
    all.served.push_back(std::move(*found));
  }
  if (options.metrics) {
    result<place> found = place_at(*options.metrics, {}, served_name, {});
    if (!found) return fail(found);
    all.metrics = std::move(*found);
  }
  if (auto all_fit = all_taken(); !all_fit) return fail(all_fit);
  return all;
}

result<place> beginnings::place_at(const address& where, listener_options how,
                                   std::string_view not_named, const listen_check& check) {
  const auto may_serve = [&](const address& at, std::size_t sockets, bool reuse_port) {
    return check ? check(at, sockets, reuse_port) : result<void>();
  };
  place wanted{.how = std::move(how), .given = take_listeners(given_, where, not_named)};
  if (wanted.given.empty()) {
    if (auto fine = may_serve(where, 1, true); !fine) return fail(fine);
    result<listener> opened = listener::open(where, wanted.how);
    if (!opened) return fail(opened);
    wanted.own.push_back(std::move(*opened));
    return wanted;
  }
  const given_listener& first = wanted.given.front();
  if (auto fine = may_serve(first.local, wanted.given.size(), first.reuse_port); !fine)
    return fail(fine);
  for (const given_listener& one : wanted.given) {
    if (auto fine = listener::examine(one.socket.get(), for_given(wanted.how)); !fine)
      return fail(fine);
    if (one.path_file != path_identity{}) paths_.emplace_back(one.local, one.path_file);
    if (one.held_elsewhere) held_.push_back(one.local);
  }
  taken_ += static_cast<std::uint32_t>(wanted.given.size());
  return wanted;
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
