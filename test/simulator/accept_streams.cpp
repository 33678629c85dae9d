#include "simulator/accept_streams.hpp"

#include <hinge/accept_error.hpp>

#include "simulator/network.hpp"

#include <cerrno>
#include <utility>

namespace hinge::sim {

namespace {

event detached(token subject) {
  return {subject, detach_result::released, no_buffer, event_kind::detached};
}

}  // namespace

void accept_streams::open(network& in, std::uint32_t ahead) {
  net_ = &in;
  ahead_ = ahead;
}

accept_streams::~accept_streams() {
  for (auto& [slot, source] : sources_) close_surplus(source);
}

void accept_streams::close_surplus(accepting& of) {
  for (const taken& one : of.pending)
    if (one.result >= 0) net_->close(one.result);
  of.pending.clear();
}

std::optional<event> accept_streams::apply(const change& wanted) {
  accepting& source = sources_[wanted.subject.slot()];
  const auto refuse = [&](int code) {
    return event{wanted.subject, code, static_cast<std::uint16_t>(wanted.what), event_kind::failed};
  };
  switch (wanted.what) {
    case operation::accept:
      if (net_->listener_of(wanted.fd) == nullptr) {
        net_->violation("accept on a descriptor that is no listener");
        return refuse(-EINVAL);
      }
      if (source.told_armed) {
        net_->violation("accept on a listener that accepts already");
        return refuse(-EEXIST);
      }
      if (net_->refuses_change()) return refuse(-ENOMEM);
      source.subject = wanted.subject;
      source.fd = wanted.fd;
      source.armed = source.told_armed = true;
      return {};
    case operation::stop_accept:
    case operation::detach:
      source.armed = source.told_armed = false;
      // The loop knows nothing of an error yet, and has no use for it.
      std::erase_if(source.pending, [](const taken& one) { return one.result < 0; });
      if (wanted.what == operation::stop_accept) return {};
      source.subject = wanted.subject;
      source.detaching = !source.pending.empty();
      if (source.detaching) return {};
      return detached(wanted.subject);
    default:
      net_->violation("a connection's change with a listener's token");
      return refuse(-EINVAL);
  }
}

void accept_streams::take(accepting& from) {
  taken one{};
  one.result = net_->accept(from.fd, one.peer);
  if (one.result < 0) {
    const accept_class failed = classify_accept_error(-one.result);
    if (failed == accept_class::drained) return;
    if (failed != accept_class::retry) from.armed = false;
  }
  from.pending.push_back(one);
}

bool accept_streams::waiting(const accepting& at) const {
  const listening* const listener = at.armed ? net_->listener_of(at.fd) : nullptr;
  return listener != nullptr && !listener->waiting.empty();
}

void accept_streams::advance() {
  for (auto& [slot, source] : sources_)
    while (source.pending.size() < ahead_ && waiting(source)) take(source);
}

void accept_streams::talkative(std::vector<token>& into) const {
  for (const auto& [slot, source] : sources_)
    if (!source.pending.empty() || source.detaching || waiting(source))
      into.push_back(source.subject);
}

std::optional<accept_streams::accepted> accept_streams::next(token subject) {
  accepting& source = sources_[subject.slot()];
  if (source.pending.empty()) {
    if (std::exchange(source.detaching, false)) return accepted{detached(source.subject), {}};
    if (!waiting(source)) return {};
    take(source);
    if (source.pending.empty()) return {};
  }
  const taken one = source.pending.front();
  source.pending.pop_front();
  const bool last = source.pending.empty();
  if (last && one.result >= 0 && net_->random.chance(net_->with.more_ends)) source.armed = false;
  const bool more = source.told_armed && (source.armed || !last);
  if (!more) source.armed = source.told_armed = false;
  return accepted{{source.subject, one.result, no_buffer, event_kind::accepted,
                   static_cast<std::uint8_t>(more)},
                  one.peer};
}

bool accept_streams::holds(int fd) const {
  for (const auto& [slot, source] : sources_)
    if (source.fd == fd && source.armed) return true;
  return false;
}

}  // namespace hinge::sim
