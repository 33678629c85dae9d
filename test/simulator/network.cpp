#include "simulator/network.hpp"

#include <hinge/event.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hinge::sim {

namespace {

constexpr int most_backlog = 4096;  // net.core.somaxconn
constexpr std::array exhaustions = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
// accept(2): errors of the connection that was waiting; the next one is fine.
constexpr std::array losses = {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, ETIMEDOUT, EOPNOTSUPP};
constexpr std::int32_t all_edges =
    readiness::in | readiness::out | readiness::end | readiness::error;

}  // namespace

network* network::current_ = nullptr;

// --- descriptors ---------------------------------------------------------------------------------

int network::take_descriptor() {
  const auto free = std::find_if(descriptors_.begin(), descriptors_.end(),
                                 [](const descriptor& one) { return !one.open; });
  const auto index = static_cast<std::size_t>(free - descriptors_.begin());
  if (index >= with.descriptors) return -EMFILE;
  if (free == descriptors_.end()) descriptors_.emplace_back();
  descriptors_[index].open = true;
  return first_fd + static_cast<int>(index);
}

network::descriptor* network::find(int fd) const {
  const auto index = static_cast<std::size_t>(fd - first_fd);
  return owns(fd) && index < descriptors_.size() && descriptors_[index].open ? &descriptors_[index]
                                                                             : nullptr;
}

network::descriptor* network::find_open(int fd, const char* call) {
  descriptor* const found = find(fd);
  if (found == nullptr)
    violation(std::string(call) + " on closed descriptor " + std::to_string(fd - first_fd));
  return found;
}

stream* network::stream_of(int fd) const {
  const descriptor* const found = find(fd);
  return found != nullptr ? found->connection.get() : nullptr;
}

listening* network::listener_of(int fd) const {
  const descriptor* const found = find(fd);
  return found != nullptr ? found->listener.get() : nullptr;
}

bool network::is_open(int fd) const { return find(fd) != nullptr; }

std::size_t network::open_descriptors() const {
  return static_cast<std::size_t>(std::count_if(descriptors_.begin(), descriptors_.end(),
                                                [](const descriptor& one) { return one.open; }));
}

int network::open_socket() { return take_descriptor(); }

int network::bind(int fd, const address& at) {
  descriptor* const found = find_open(fd, "bind");
  if (found == nullptr) return -EBADF;
  inet_name name = at.inet();
  if (name.port == 0) name.port = next_port_++;
  found->bound = address::from(name);
  for (const descriptor& other : descriptors_)
    if (other.open && other.listener && other.listener->at == found->bound) return -EADDRINUSE;
  return 0;
}

int network::listen(int fd, int backlog) {
  descriptor* const found = find_open(fd, "listen");
  if (found == nullptr) return -EBADF;
  if (!found->listener) found->listener = std::make_shared<listening>();
  found->listener->at = found->bound;
  found->listener->backlog = std::min(backlog, most_backlog);
  return 0;
}

int network::close(int fd) {
  descriptor* const found = find_open(fd, "close");
  if (found == nullptr) return -EBADF;
  if (poller != nullptr && poller->holds(fd))
    violation("close of descriptor " + std::to_string(fd - first_fd) + " that the backend holds");
  const descriptor closing = std::exchange(*found, {});
  if (closing.connection) close_stream(*closing.connection);
  if (closing.listener) {
    for (const auto& waiting : closing.listener->waiting)
      waiting->closed = waiting->reset_sent = true;
  }
  if (poller != nullptr) poller->closed(fd);
  return 0;
}

void network::close_stream(stream& closing) {
  closing.closed = true;
  if (closing.dead) return;
  if (closing.reset_on_close || !closing.incoming.empty()) {
    closing.reset_sent = true;
    if (closing.reset_on_close) closing.outgoing.cut(random.below(closing.outgoing.size() + 1));
    return;
  }
  closing.end_joined = closing.corked && !closing.end_sent;
  closing.end_sent = true;
}

// --- accepting -----------------------------------------------------------------------------------

/// 0, or what goes wrong now as -errno.
int network::accept_fault(listening& from) {
  if (accept_errors_left_ != 0) {
    --accept_errors_left_;
    ++refused_accepts;
    return -accept_error_;
  }
  if (random.chance(with.accept_interrupted)) return -EINTR;
  if (from.waiting.empty()) {
    ++empty_accepts;
    return -EAGAIN;
  }
  if (random.chance(with.accept_aborted)) {
    stream& lost = *from.waiting.front();
    lost.closed = lost.reset_sent = true;
    from.waiting.pop_front();
    return -losses[random.below(losses.size())];
  }
  if (random.chance(with.accept_exhausted)) {
    fail_accepts(exhaustions[random.below(exhaustions.size())], random.below(with.longest_episode));
    ++refused_accepts;
    return -accept_error_;
  }
  return 0;
}

int network::accept(int fd, inet_name& who) {
  ++accept_calls;
  descriptor* const found = find_open(fd, "accept");
  if (found == nullptr) return -EBADF;
  if (!found->listener) return -EINVAL;
  const std::shared_ptr<listening> from = found->listener;
  if (const int failed = accept_fault(*from); failed < 0) return failed;
  const int accepted = take_descriptor();
  if (accepted < 0) {
    ++refused_accepts;
    return accepted;
  }
  find(accepted)->connection = std::move(from->waiting.front());
  from->waiting.pop_front();
  who = find(accepted)->connection->peer;
  return accepted;
}

void network::fail_accepts(int code, std::uint32_t times) {
  accept_error_ = code;
  accept_errors_left_ = times;
}

void network::calm() {
  const conditions quiet{.descriptors = with.descriptors,
                         .receive_buffer_bytes = with.receive_buffer_bytes,
                         .send_buffer_bytes = with.send_buffer_bytes,
                         .asks_to_send = with.asks_to_send};
  with = quiet;
  recover();
}

// --- bytes ---------------------------------------------------------------------------------------

void network::lose(stream& lost, int code) {
  lost.dead = true;
  lost.error = code;
  lost.edges |= all_edges;
  lost.outgoing.cut(0);
}

int network::receive_nothing(stream& from) {
  if (from.error != 0) return -std::exchange(from.error, 0);
  return from.peer_ended || from.dead ? 0 : -EAGAIN;
}

int network::receive(int fd, std::span<std::byte> into) {
  descriptor* const found = find_open(fd, "receive");
  if (found == nullptr) return -EBADF;
  if (!found->connection) return -ENOTCONN;
  stream& from = *found->connection;
  if (from.incoming.empty()) return receive_nothing(from);
  std::size_t count = std::min(into.size(), from.incoming.size());
  if (random.chance(with.short_receive)) {
    count = random.between(1, static_cast<std::uint32_t>(count));
    if (!from.urgent_told) from.edges |= readiness::in;
  }
  return static_cast<int>(from.incoming.pop(into.first(count)));
}

int network::send(int fd, std::span<const std::byte> bytes, bool more_follows) {
  descriptor* const found = find_open(fd, "send");
  if (found == nullptr) return -EBADF;
  if (!found->connection) return -ENOTCONN;
  stream& to = *found->connection;
  if (to.error != 0) return -std::exchange(to.error, 0);
  if (to.dead || to.end_sent) return -EPIPE;
  if (to.peer_closed) {
    lose(to, EPIPE);
    return static_cast<int>(bytes.size());
  }
  std::size_t count = std::min(bytes.size(), to.room());
  if (count < bytes.size()) to.full = true;
  if (count == 0 && !bytes.empty()) return -EAGAIN;
  if (count > 1 && random.chance(with.short_send)) {
    count = random.between(1, static_cast<std::uint32_t>(count));
    to.edges |= readiness::out;
  }
  to.outgoing.push(bytes.first(count));
  to.corked = more_follows;
  return static_cast<int>(count);
}

int network::shutdown_write(int fd) {
  descriptor* const found = find_open(fd, "shutdown");
  if (found == nullptr) return -EBADF;
  if (!found->connection || found->connection->dead) return -ENOTCONN;
  found->connection->end_sent = true;
  return 0;
}

// --- peers ---------------------------------------------------------------------------------------

peer network::connect(const address& to) {
  for (const descriptor& one : descriptors_) {
    if (!one.open || !one.listener || one.listener->at.port() != to.port()) continue;
    if (static_cast<int>(one.listener->waiting.size()) > one.listener->backlog) return {};
    auto made = std::make_shared<stream>();
    made->number = connects_++;
    made->peer = address::loopback(static_cast<std::uint16_t>(20000 + made->number)).inet();
    made->incoming_limit = with.receive_buffer_bytes;
    made->outgoing_limit = with.send_buffer_bytes;
    made->urgent = random.chance(with.urgent);
    one.listener->waiting.push_back(made);
    return {*this, std::move(made)};
  }
  return {};
}

std::size_t peer::send(std::span<const std::byte> bytes) {
  stream& to = *stream_;
  if (to.dead || to.peer_ended) return 0;
  if (to.closed) {
    to.reset_sent = true;
    return 0;
  }
  const std::size_t room = to.incoming_limit - std::min(to.incoming.size(), to.incoming_limit);
  const std::size_t count = std::min(room, bytes.size());
  if (count == 0) return 0;
  to.incoming.push(bytes.first(count));
  to.edges |= readiness::in;
  return count;
}

std::string peer::receive(std::size_t most) {
  stream& from = *stream_;
  std::string bytes(std::min(most, from.outgoing.size()), '\0');
  from.outgoing.pop(std::as_writable_bytes(std::span(bytes)));
  // As Linux: a socket is writable again when a third of its buffer is free (tcp(7)).
  if (from.full && from.room() * 3 >= from.outgoing_limit) {
    from.full = false;
    from.edges |= readiness::out;
  }
  return bytes;
}

void peer::shutdown() {
  if (stream_->dead || stream_->peer_ended) return;
  stream_->peer_ended = true;
  stream_->edges |= readiness::in | readiness::end;
}

void peer::reset() {
  stream& lost = *stream_;
  if (lost.dead) return;
  if (network_->random.chance(network_->with.reset_drops_unread)) lost.incoming.cut(0);
  network::lose(lost, lost.peer_ended ? EPIPE : ECONNRESET);
  lost.peer_closed = true;
}

void peer::close() {
  if (!stream_->outgoing.empty()) return reset();
  shutdown();
  stream_->peer_closed = true;
}

}  // namespace hinge::sim
