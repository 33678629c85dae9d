// Readiness: one registration a connection, edge-triggered, which goes with the descriptor, as in
// epoll(7). With conditions::asks_to_send room is told when it is asked for, as by a kqueue.
#include "simulator/engine.hpp"
#include "simulator/network.hpp"

#include <cerrno>
#include <deque>
#include <map>
#include <set>

namespace hinge::sim {

namespace {

class readiness_engine final : public engine {
public:
  explicit readiness_engine(network& in) : net_(in) {}

  std::optional<event> apply(const change& wanted) override;
  void advance() override;
  void talkative(std::vector<token>& into) const override;
  std::optional<event> next(token subject) override;
  // A registration goes with the descriptor: that is no operation.
  bool holds(int) const override { return false; }
  bool sends(int) const override { return false; }
  void closed(int fd) override;
  poller_limits limits() const override { return {.asks_to_send = net_.with.asks_to_send}; }

private:
  static constexpr std::size_t most_remembered = 16;
  static constexpr std::int32_t all_there_is =
      readiness::in | readiness::out | readiness::end | readiness::error | readiness::urgent;

  int register_for_good(const change& wanted);
  int await_room(const change& wanted);
  /// What holds, and may be told of that connection.
  std::int32_t holding(token subject, const stream& now) const;

  network& net_;
  std::map<std::uint64_t, int> registered_;  // token bits to descriptor
  std::set<std::uint64_t> asked_;            // with asks_to_send, whoever waits for room
  std::deque<token> gone_;                   // closed without a detach
  std::vector<token> spurious_;
};

int readiness_engine::register_for_good(const change& wanted) {
  ++net_.receives;
  stream* const connection = net_.stream_of(wanted.fd);
  if (connection == nullptr) {
    net_.violation("receive on a descriptor that is no connection");
    return -EBADF;
  }
  for (const auto& [bits, fd] : registered_) {
    if (fd != wanted.fd) continue;
    net_.violation("receive on a connection that is registered");
    return -EEXIST;
  }
  if (net_.refuses_change()) return -ENOSPC;
  registered_[wanted.subject.bits()] = wanted.fd;
  // Whatever holds already is news to the new registration.
  connection->edges = all_there_is;
  return 0;
}

int readiness_engine::await_room(const change& wanted) {
  if (!net_.with.asks_to_send || wanted.length != 0)
    net_.violation("a send that a readiness backend has no use for");
  // The receive that came before it may have failed.
  if (registered_.count(wanted.subject.bits()) == 0) return -ENOENT;
  if (net_.refuses_change()) return -ENOSPC;
  asked_.insert(wanted.subject.bits());
  net_.stream_of(wanted.fd)->edges |= readiness::out;
  return 0;
}

std::optional<event> readiness_engine::apply(const change& wanted) {
  int failed = 0;
  switch (wanted.what) {
    case operation::receive:
      failed = register_for_good(wanted);
      break;
    case operation::send:
      failed = await_room(wanted);
      break;
    case operation::detach:
      registered_.erase(wanted.subject.bits());
      asked_.erase(wanted.subject.bits());
      return event{wanted.subject, detach_result::released, no_buffer, event_kind::detached};
    default:
      net_.violation("a change that a readiness backend has no use for");
      failed = -EOPNOTSUPP;
  }
  if (failed == 0) return {};
  return event{wanted.subject, failed, static_cast<std::uint16_t>(wanted.what), event_kind::failed};
}

void readiness_engine::closed(int fd) {
  std::erase_if(registered_, [&](const auto& one) {
    if (one.second != fd) return false;
    gone_.push_back(token::from_bits(one.first));
    asked_.erase(one.first);
    if (gone_.size() > most_remembered) gone_.pop_front();
    return true;
  });
}

std::int32_t readiness_engine::holding(token subject, const stream& now) const {
  const bool tells_room = !net_.with.asks_to_send || asked_.count(subject.bits()) != 0;
  const bool has_room = now.room() != 0 || now.dead;
  return (now.readable() ? readiness::in : 0) | (tells_room && has_room ? readiness::out : 0) |
         (now.peer_ended || now.dead ? readiness::end : 0) |
         (now.error != 0 ? readiness::error : 0) | (now.urgent ? readiness::urgent : 0);
}

void readiness_engine::advance() {
  spurious_.clear();
  for (const auto& [bits, fd] : registered_)
    if (net_.random.chance(net_.with.spurious)) spurious_.push_back(token::from_bits(bits));
  for (const token gone : gone_)
    if (net_.random.chance(net_.with.stale)) spurious_.push_back(gone);
}

void readiness_engine::talkative(std::vector<token>& into) const {
  for (const auto& [bits, fd] : registered_) {
    const token subject = token::from_bits(bits);
    const stream& connection = *net_.stream_of(fd);
    if ((connection.edges & holding(subject, connection)) != 0) into.push_back(subject);
  }
  into.insert(into.end(), spurious_.begin(), spurious_.end());
}

std::optional<event> readiness_engine::next(token subject) {
  std::int32_t hints = 0;
  if (const auto found = registered_.find(subject.bits()); found != registered_.end()) {
    stream& connection = *net_.stream_of(found->second);
    const std::int32_t now = holding(subject, connection);
    const std::int32_t rose = std::exchange(connection.edges, 0) & now;
    // Urgent data is told with every event, until it is behind the reader.
    if (rose != 0)
      hints = net_.random.chance(net_.with.split) ? rose | (now & readiness::urgent) : now;
    if ((hints & readiness::urgent) != 0) connection.urgent_told = true;
    if ((hints & readiness::out) != 0) asked_.erase(subject.bits());
  }
  if (hints == 0) {
    // Spurious or stale, once each.
    if (std::erase(spurious_, subject) == 0) return {};
    hints = net_.random.chance(0.5) ? readiness::in : readiness::out;
  }
  return event{subject, hints, no_buffer,
               hints == readiness::out ? event_kind::writable : event_kind::readable};
}

}  // namespace

std::unique_ptr<engine> make_readiness_engine(network& in) {
  return std::make_unique<readiness_engine>(in);
}

}  // namespace hinge::sim
