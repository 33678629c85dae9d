#include "simulation/improviser.hpp"

#include <algorithm>

namespace hinge::sim {

served& improviser::of(connection c) { return model_->servers[c.payload<payload>().number]; }

void improviser::on_accept(connection c) {
  const stream* const far = net_->stream_of(c.fd());
  if (far == nullptr) {
    model_->outcome.fail("on_accept with a descriptor that is no connection");
    return;
  }
  c.payload<payload>().number = far->number;
  served& one = of(c);
  model_->outcome.check(one.closes == -1, "accepted twice");
  model_->outcome.check(c.peer() == address::from(far->peer), "the peer has another name");
  one.closes = 0;
  one.how = static_cast<manner>(net_->random.below(4));
  ++open_;
  handles_.push_back(c);
  if (one.how == manner::improvises) act(c);
}

void improviser::on_data(connection c, std::span<std::byte> bytes) {
  served& one = of(c);
  const auto number = static_cast<std::uint32_t>(c.payload<payload>().number);
  model_->outcome.check(one.closes == 0, "on_data after on_close");
  model_->outcome.check(!one.ended, "on_data after on_end");
  model_->outcome.check(!one.paused, "on_data while reading is paused");
  model_->outcome.check(!one.closed_here && !one.aborted_here, "on_data after a close");
  model_->outcome.check(!bytes.empty(), "on_data without data");
  for (const std::byte byte : bytes)
    if (byte != peer_byte(number, one.heard++)) return model_->outcome.fail("heard a wrong byte");

  switch (one.how) {
    case manner::echoes:
      say(c, bytes, false);
      break;
    case manner::discards:
      break;
    case manner::replies_once:
      say(c, bytes, true);
      break;
    case manner::improvises:
      if (net_->random.chance(0.5)) {
        const std::size_t from = net_->random.below(bytes.size() + 1);
        say(c, bytes.subspan(from, net_->random.below(bytes.size() - from + 1)), false);
      }
      act(c);
      if (net_->random.chance(0.1)) act_on_any();
  }
}

void improviser::on_end(connection c) {
  served& one = of(c);
  const actor& far = model_->actors[c.payload<payload>().number];
  model_->outcome.check(one.closes == 0, "on_end after on_close");
  model_->outcome.check(!one.ended, "on_end twice");
  model_->outcome.check(!one.paused, "on_end while reading is paused");
  model_->outcome.check(far.end.state().peer_ended || far.end.state().dead,
                        "on_end, and the peer has not ended");
  model_->outcome.check(one.heard == far.sent, "on_end before the last byte");
  one.ended = true;
  if (one.how == manner::improvises && !calm_ && net_->random.chance(0.5)) {
    act(c);
  } else {
    one.closed_here = c.close() || one.closed_here;
  }
}

void improviser::on_half_closed(connection c, nanoseconds age) {
  const served& one = of(c);
  // While reading is paused on_end isn't told.
  const bool peer_over = one.ended || model_->actors[c.payload<payload>().number].over;
  model_->outcome.check(peer_over && !one.closed_here && !one.shut_here,
                        "half-closed, it was said, and isn't");
  model_->outcome.check(age >= c.loop().options().half_closed_limit, "half-closed too early");
}

void improviser::on_writable(connection c) {
  model_->outcome.check(of(c).closes == 0, "on_writable after on_close");
  model_->outcome.check(c.is_open(), "on_writable on a connection that is not open");
  model_->outcome.check(c.queued_bytes() <= c.loop().options().queue_low_bytes,
                        "on_writable above the low mark");
  if (of(c).how == manner::improvises) act(c);
}

void improviser::on_drain(connection c) {
  if (net_->random.chance(0.5)) of(c).closed_here = c.close() || of(c).closed_here;
}

void improviser::on_listener_error(std::size_t, int code) {
  model_->outcome.check(code < 0, "on_listener_error without an error");
}

void improviser::on_close(connection c, close_cause cause) {
  served& one = of(c);
  const actor& far = model_->actors[c.payload<payload>().number];
  ++one.closes;
  one.cause = cause;
  --open_;
  model_->outcome.check(one.closes == 1, "on_close twice");
  model_->outcome.check(!c.is_open() && !c.send({}) && !c.close(), "open in on_close");
  model_->outcome.check(c.bytes_in() >= one.heard, "bytes_in is less than was heard");
  model_->outcome.check(c.bytes_out() <= one.said.size() + one.refused.size(),
                        "bytes_out is more than was said");
  check_cause(one, far, c);
  if (cause == close_cause::local_close || cause == close_cause::peer_closed)
    model_->outcome.check(c.queued_bytes() == 0 && c.bytes_out() == one.said.size(),
                          "closed before all was sent");
  if (net_->random.chance(0.1)) act_on_any();
}

void improviser::check_cause(const served& one, const actor& far, connection c) {
  const loop_options& options = c.loop().options();
  const instant now = c.loop().now();
  const bool stopping = c.loop().stopping();
  const auto passed = [&](instant since, nanoseconds timeout) {
    return timeout.count() != 0 && now - since >= timeout.count();
  };
  bool plausible = false;
  switch (one.cause) {
    case close_cause::none:
    case close_cause::denied:  // a handler hears of nobody who was turned away
    case close_cause::listener_full:
    case close_cause::pending_full:
    case close_cause::listener_rate:
    case close_cause::source_full:
    case close_cause::source_rate:
    case close_cause::network_full:
    case close_cause::network_rate:
      break;
    case close_cause::peer_closed:
      plausible = far.end.state().peer_ended && (one.closed_here || one.shut_here);
      break;
    case close_cause::peer_reset:
      plausible = far.gone;
      break;
    case close_cause::local_close:
      plausible = one.closed_here;
      break;
    case close_cause::local_abort:
      plausible = one.aborted_here;
      break;
    case close_cause::first_byte_timeout:
      plausible = one.heard == 0 && passed(c.opened(), options.first_byte_timeout);
      break;
    case close_cause::idle_timeout:
      plausible = passed(c.last_activity(), options.idle_timeout);
      break;
    case close_cause::write_stall:
      plausible = c.queued_bytes() != 0 && options.write_stall_timeout.count() != 0;
      break;
    case close_cause::drain:
      plausible = stopping || (one.closed_here && options.drain_timeout.count() != 0);
      break;
    case close_cause::queue_full:
    case close_cause::error:
      plausible = !one.refused.empty() || net_->refused_changes != 0;
      break;
  }
  if (!plausible) model_->outcome.fail("implausible cause " + std::string(name_of(one.cause)));
}

void improviser::say(connection c, std::span<const std::byte> bytes, bool last) {
  served& one = of(c);
  const bool could = c.is_open() && !one.shut_here;
  const std::uint64_t refused = c.loop().counters().refused_sends;
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (last ? c.finish(bytes) : c.send(bytes)) {
    model_->outcome.check(could, "a send worked that could not");
    one.said += text;
    one.closed_here = one.closed_here || last;
    return;
  }
  if (!could || one.closes != 0) return;
  // Refused for lack of room, or the peer is gone.
  if (c.loop().counters().refused_sends != refused) {
    one.refused = text;
    one.aborted_here = c.abort() || one.aborted_here;
  } else {
    model_->outcome.check(!c.is_open(), "a send failed without a reason");
  }
}

void improviser::say_something(connection c, bool last) {
  const std::uint32_t most = net_->random.chance(talkative_ ? 0.7 : 0.1) ? 40'000 : 300;
  std::vector<std::byte> bytes(net_->random.below(most));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = server_byte(of(c).said.size() + i);
  say(c, bytes, last);
}

void improviser::act(connection c) {
  if (calm_ || !c.is_open()) return;
  served& one = of(c);
  switch (net_->random.below(24)) {
    case 0:
      one.closed_here = c.close() || one.closed_here;
      break;
    case 1:
      one.aborted_here = c.abort() || one.aborted_here;
      break;
    case 2:
      say_something(c, true);
      break;
    case 3:
      one.shut_here = c.shutdown_write() || one.shut_here;
      break;
    case 4:
    case 5:
      one.paused = c.pause_reading() || one.paused;
      break;
    case 6:
    case 7:
      if (c.resume_reading()) one.paused = false;
      break;
    case 8:
      say(c, {}, false);
      break;
    case 9:
    case 10:
    case 11:
    case 12:
      say_something(c, false);
      break;
    default:
      break;
  }
}

void improviser::act_on_any() {
  if (calm_ || handles_.empty()) return;
  const connection c = handles_[net_->random.below(handles_.size())];
  if (c.is_open()) act(c);
  connection stale = handles_.front();
  if (!stale.is_open()) model_->outcome.check(!stale.send({}), "a stale handle sends");
}

void improviser::resume_all() {
  for (connection c : handles_)
    if (c.is_open() && of(c).paused && c.resume_reading()) of(c).paused = false;
}

}  // namespace hinge::sim
