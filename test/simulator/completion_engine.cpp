// Completion: receives into buffers of a pool, sends, cancels. What happens is queued for each
// connection in its order, and told later.
#include "simulator/engine.hpp"
#include "simulator/network.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <set>

namespace hinge::sim {

namespace {

constexpr std::byte unused_byte{0xdd};
constexpr std::uint32_t guard_bytes = 64;  // between two buffers; never written

std::uint64_t checksum(std::span<const std::byte> bytes) {
  std::uint64_t sum = 14695981039346656037ULL;  // FNV-1a
  for (const std::byte one : bytes) sum = (sum ^ static_cast<std::uint64_t>(one)) * 1099511628211;
  return sum;
}

enum class buffer_state : std::uint8_t { free, filled, lent };

struct bytes_in_use {
  const std::byte* data = nullptr;
  std::uint32_t length = 0;
  std::uint64_t sum = 0;
};

struct completion {
  event what;
  bytes_in_use until_told;
};

/// All that is held under one token.
struct operations {
  int fd = -1;
  bool receiving = false;       // the kernel receives
  bool told_receiving = false;  // as far as the loop can know
  bool watches = false;         // takes no bytes
  bool told_end = false;        // by this watch
  bool stop_asked = false;
  bool sending = false;
  bool told_sending = false;
  bool detach_asked = false;
  bool over = false;  // `detached` is on its way
  change send;
  bytes_in_use sent_bytes;
  std::deque<completion> happened;
};

class completion_engine final : public engine {
public:
  completion_engine(network& in, const poller_options& options);

  std::optional<event> apply(const change& wanted) override;
  void advance() override;
  void talkative(std::vector<token>& into) const override;
  std::optional<event> next(token subject) override;
  bool holds(int fd) const override;
  bool sends(int fd) const override;
  void closed(int fd) override;
  poller_limits limits() const override;

private:
  int start(const change& wanted);
  int start_send(operations& of, const change& wanted);
  /// For good, or for now.
  int refusal() { return net_.random.chance(0.5) ? -ENOMEM : -EAGAIN; }
  void recycle(const change& wanted);
  void progress(token subject, operations& of);
  void receive(token subject, operations& of);
  void receive_once(token subject, operations& of);
  void watch(token subject, operations& of);
  void end_receive(token subject, operations& of, std::int32_t result);
  void send(token subject, operations& of);
  void cancel(token subject, operations& of);
  void finish(token subject, operations& of, bool close);
  int take_buffer();
  void free_buffer(std::uint16_t buffer);
  std::byte* buffer_at(std::size_t index) const { return buffers_.get() + index * stride_; }
  void check(const bytes_in_use& bytes);

  network& net_;
  std::uint32_t buffer_bytes_;
  std::uint32_t stride_;
  std::unique_ptr<std::byte[]> buffers_;
  std::vector<buffer_state> states_;
  std::map<std::uint64_t, operations> held_;  // by token bits
  std::set<std::uint64_t> gone_;              // after their `detached`
};

completion_engine::completion_engine(network& in, const poller_options& options)
    : net_(in),
      buffer_bytes_(options.receive_buffer_bytes),
      stride_(options.receive_buffer_bytes + guard_bytes),
      buffers_(new std::byte[std::size_t{stride_} * options.receive_buffers]),
      states_(options.receive_buffers, buffer_state::free) {
  std::memset(buffers_.get(), static_cast<int>(unused_byte), std::size_t{stride_} * states_.size());
}

poller_limits completion_engine::limits() const {
  return {.buffers = buffers_.get(),
          .buffer_stride = stride_,
          .buffer_count = static_cast<std::uint32_t>(states_.size())};
}

bool completion_engine::holds(int fd) const {
  for (const auto& [bits, of] : held_)
    if (of.fd == fd && !of.over && (of.told_receiving || of.told_sending)) return true;
  return false;
}

bool completion_engine::sends(int fd) const {
  return std::any_of(held_.begin(), held_.end(), [fd](const auto& one) {
    return one.second.fd == fd && !one.second.over && one.second.told_sending;
  });
}

/// Nothing was under way: nobody needs to be told.
void completion_engine::closed(int fd) {
  std::erase_if(held_, [&](const auto& one) {
    if (one.second.fd != fd || one.second.over) return false;
    gone_.insert(one.first);
    return true;
  });
}

// --- buffers -------------------------------------------------------------------------------------

int completion_engine::take_buffer() {
  // Any free one, so that nobody counts on an order.
  const std::size_t first = net_.random.below(states_.size());
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const std::size_t index = (first + i) % states_.size();
    if (states_[index] != buffer_state::free) continue;
    states_[index] = buffer_state::filled;
    return static_cast<int>(index);
  }
  return -1;
}

void completion_engine::free_buffer(std::uint16_t buffer) {
  states_[buffer] = buffer_state::free;
  for (std::uint32_t i = buffer_bytes_; i < stride_; ++i) {
    if (buffer_at(buffer)[i] == unused_byte) continue;
    net_.violation("bytes behind a received buffer were written");
    break;
  }
  // Whoever still reads it finds out.
  std::memset(buffer_at(buffer), static_cast<int>(unused_byte), stride_);
}

void completion_engine::recycle(const change& wanted) {
  if (wanted.buffer >= states_.size() || states_[wanted.buffer] != buffer_state::lent) {
    net_.violation("recycle of buffer " + std::to_string(wanted.buffer) + " that is not lent");
    return;
  }
  free_buffer(wanted.buffer);
  --net_.lent_buffers;
}

void completion_engine::check(const bytes_in_use& bytes) {
  if (bytes.data != nullptr && checksum({bytes.data, bytes.length}) != bytes.sum)
    net_.violation("bytes to send have changed before `sent`");
}

// --- changes -------------------------------------------------------------------------------------

std::optional<event> completion_engine::apply(const change& wanted) {
  if (wanted.what == operation::recycle) {
    recycle(wanted);
    return {};
  }
  if (wanted.what == operation::close) {
    net_.close(wanted.fd);
    return {};
  }
  const int failed = start(wanted);
  if (failed == 0) return {};
  return event{wanted.subject, failed, static_cast<std::uint16_t>(wanted.what), event_kind::failed};
}

int completion_engine::start(const change& wanted) {
  const std::uint64_t bits = wanted.subject.bits();
  if (gone_.count(bits) != 0) {
    net_.violation("a change for a token after its `detached`");
    return -ENOENT;
  }
  if (held_.count(bits) == 0 && net_.stream_of(wanted.fd) == nullptr) {
    net_.violation("a change for a descriptor that is no connection");
    return -EBADF;
  }
  operations& of = held_[bits];
  if (of.fd == -1) of.fd = wanted.fd;
  if (of.fd != wanted.fd) net_.violation("a change with another descriptor than its token's");
  if (of.detach_asked) net_.violation("a change after a detach");
  switch (wanted.what) {
    case operation::receive:
      ++net_.receives;
      if (of.told_receiving) {
        net_.violation("receive on a connection that is receiving");
        return -EEXIST;
      }
      if (net_.refuses_change()) return refusal();
      of.told_receiving = true;
      of.receiving = !of.over;
      of.watches = (wanted.flags & change::watch) != 0;
      of.told_end = false;
      of.stop_asked = false;
      return 0;
    case operation::stop_receive:
      of.stop_asked = true;
      return 0;
    case operation::send:
      return start_send(of, wanted);
    case operation::detach:
      of.detach_asked = true;
      return 0;
    default:
      net_.violation("a listener's change with a connection's token");
      return -EINVAL;
  }
}

int completion_engine::start_send(operations& of, const change& wanted) {
  if (of.told_sending) {
    net_.violation("send on a connection that is sending");
    return -EEXIST;
  }
  if (wanted.length == 0 && wanted.flags != 0) net_.violation("a send of nothing with flags");
  if ((wanted.flags & change::then_close) != 0 && of.told_receiving) {
    net_.violation("a send that closes while a receive is armed");
    return -EBUSY;
  }
  if (net_.refuses_change()) return refusal();
  of.sending = of.told_sending = true;
  of.send = wanted;
  of.sent_bytes = {wanted.data, wanted.length, checksum({wanted.data, wanted.length})};
  return 0;
}

// --- what happens --------------------------------------------------------------------------------

void completion_engine::advance() {
  std::vector<std::uint64_t> order;
  for (const auto& [bits, of] : held_) order.push_back(bits);
  net_.random.shuffle(order);
  for (const std::uint64_t bits : order) progress(token::from_bits(bits), held_[bits]);
}

void completion_engine::progress(token subject, operations& of) {
  if (of.over) return;
  if (of.detach_asked && !net_.random.chance(net_.with.delay)) {
    cancel(subject, of);
    return;
  }
  if (of.receiving) receive(subject, of);
  if (of.sending && !net_.random.chance(net_.with.delay)) send(subject, of);
}

void completion_engine::receive(token subject, operations& of) {
  if (of.stop_asked && !net_.random.chance(net_.with.delay)) {
    end_receive(subject, of, -ECANCELED);
    return;
  }
  if (of.watches) return watch(subject, of);
  while (of.receiving && of.happened.size() < net_.with.ahead &&
         net_.stream_of(of.fd)->readable()) {
    const std::size_t before = of.happened.size();
    receive_once(subject, of);
    if (of.happened.size() == before) return;
  }
}

void completion_engine::watch(token subject, operations& of) {
  const stream& from = *net_.stream_of(of.fd);
  if (from.error != 0) return end_receive(subject, of, -EIO);
  if (!from.peer_ended || (of.told_end && !net_.random.chance(net_.with.more_ends))) return;
  of.told_end = true;
  of.receiving = !net_.random.chance(net_.with.more_ends);
  of.happened.push_back(
      {{subject, 0, no_buffer, event_kind::received, static_cast<std::uint8_t>(of.receiving)}, {}});
}

void completion_engine::receive_once(token subject, operations& of) {
  if (net_.stream_of(of.fd)->incoming.empty()) {
    std::byte unused{};
    end_receive(subject, of, net_.receive(of.fd, {&unused, 1}));
    return;
  }
  const int buffer = take_buffer();
  if (buffer < 0) {
    if (net_.random.chance(net_.with.no_buffers)) end_receive(subject, of, -ENOBUFS);
    return;
  }
  const int count =
      net_.receive(of.fd, {buffer_at(static_cast<std::size_t>(buffer)), buffer_bytes_});
  of.receiving = !net_.random.chance(net_.with.more_ends);
  of.happened.push_back({{subject, count, static_cast<std::uint16_t>(buffer), event_kind::received,
                          static_cast<std::uint8_t>(of.receiving)},
                         {}});
}

void completion_engine::end_receive(token subject, operations& of, std::int32_t result) {
  of.receiving = of.stop_asked = false;
  of.happened.push_back({{subject, result, no_buffer, event_kind::received, 0}, {}});
}

void completion_engine::send(token subject, operations& of) {
  const bool then_close = (of.send.flags & change::then_close) != 0;
  const stream& to = *net_.stream_of(of.fd);
  const bool broken = to.error != 0 || to.dead || to.peer_closed;
  if (of.send.length == 0 && to.full && !broken) return;
  const bool more = then_close || (of.send.flags & change::more_follows) != 0;
  const int result = net_.send(of.fd, {of.send.data, of.send.length}, more);
  if (result == -EAGAIN && !then_close) return;
  of.sending = false;
  if (then_close && result == static_cast<int>(of.send.length)) {
    finish(subject, of, true);
  } else {
    of.happened.push_back({{subject, result, no_buffer, event_kind::sent}, of.sent_bytes});
  }
}

/// A detach: what is under way either still happens or doesn't.
void completion_engine::cancel(token subject, operations& of) {
  if (of.sending && net_.random.chance(net_.with.tell_cancelled)) send(subject, of);
  if (of.over) return;
  if (of.sending && net_.random.chance(net_.with.tell_cancelled))
    of.happened.push_back({{subject, -ECANCELED, no_buffer, event_kind::sent}, of.sent_bytes});
  if (of.receiving && net_.random.chance(net_.with.tell_cancelled))
    end_receive(subject, of, -ECANCELED);
  finish(subject, of, false);
}

/// Nothing is under way any more: the last word.
void completion_engine::finish(token subject, operations& of, bool close) {
  of.receiving = of.sending = false;
  if (net_.random.chance(0.5)) {
    // What was received and not told goes back by itself.
    std::erase_if(of.happened, [&](const completion& one) {
      if (one.what.kind != event_kind::received) return false;
      if (one.what.buffer != no_buffer) free_buffer(one.what.buffer);
      return true;
    });
  }
  of.over = true;
  if (close) net_.close(of.fd);
  of.happened.push_back({{subject, close ? detach_result::closed : detach_result::released,
                          no_buffer, event_kind::detached},
                         of.sent_bytes});
}

// --- events --------------------------------------------------------------------------------------

void completion_engine::talkative(std::vector<token>& into) const {
  for (const auto& [bits, of] : held_)
    if (!of.happened.empty()) into.push_back(token::from_bits(bits));
}

std::optional<event> completion_engine::next(token subject) {
  const auto found = held_.find(subject.bits());
  if (found == held_.end() || found->second.happened.empty()) return {};
  operations& of = found->second;
  const completion told = of.happened.front();
  of.happened.pop_front();
  check(told.until_told);
  switch (told.what.kind) {
    case event_kind::received:
      if (told.what.buffer != no_buffer) {
        states_[told.what.buffer] = buffer_state::lent;
        ++net_.lent_buffers;
      }
      if (told.what.more == 0) of.told_receiving = false;
      break;
    case event_kind::sent:
      of.told_sending = false;
      of.sent_bytes = {};
      break;
    default:
      held_.erase(found);
      gone_.insert(subject.bits());
  }
  return told.what;
}

}  // namespace

std::unique_ptr<engine> make_completion_engine(network& in, const poller_options& options) {
  return std::make_unique<completion_engine>(in, options);
}

}  // namespace hinge::sim
