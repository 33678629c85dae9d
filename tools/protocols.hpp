// What hinge-serve can speak: handlers of a loop.
#pragma once

#include <hinge/accept_error.hpp>
#include <hinge/door.hpp>
#include <hinge/error.hpp>
#include <hinge/handler.hpp>
#include <hinge/loop_base.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "http.hpp"
#include "print_error.hpp"

namespace hinge::serve {

/// What all protocols do: say on stderr when a listener can't accept, and when it can again. A
/// beginning is told once a minute: a server that stays at its limit pauses after each connection
/// that it accepts. An end is told of what was told to have begun.
class protocol {
public:
  const loop_base* loop = nullptr;  ///< where it listens; of those made later, null
  std::string of_loop;              ///< " of loop 2", where there are several

  void on_listener_error(std::size_t listener, int code) {
    const bool gone = classify_accept_error(-code) == accept_class::dead;
    const bool sheds = loop->options().on_exhaustion == exhaustion::shed_reset;
    instant& quiet_until = quiet_until_.at(listener);
    if (!gone && loop->now() < quiet_until) return;
    if (!gone) quiet_until = deadline::after(loop->now(), std::chrono::minutes(1)).when();
    told_[listener] = !gone;
    hinge::print_error("hinge-serve: accept {}{}: {}: {}; {}\n",
                       loop->listener_at(listener).local().text(), of_loop, errno_name(-code),
                       errno_meaning(-code),
                       gone    ? "nothing more will be accepted here"
                       : sheds ? "resetting connections until there is room"
                               : "waiting until there is room");
  }

  void on_listener_recovered(std::size_t listener, const door_episode& over) {
    if (!told_[listener]) return;
    told_[listener] = false;
    constexpr std::string_view ends[] = {"a new try", "a descriptor closed in this thread",
                                         "a descriptor closed in another thread"};
    hinge::print_error(
        "hinge-serve: accept {}{}: works again, {:.3f} s after the first of {} "
        "failures; ended by {}\n",
        loop->listener_at(listener).local().text(), of_loop,
        std::chrono::duration<double>(over.length).count(), over.failures,
        ends[static_cast<std::size_t>(over.ended_by)]);
  }

  /// Once a minute, and not each of them: those who leave them behind are many.
  void on_half_closed(connection of, nanoseconds age) {
    const loop_base& mine = of.loop();  // `loop` has only those that listen
    if (mine.now() < next_half_closed_) return;
    next_half_closed_ = deadline::after(mine.now(), std::chrono::minutes(1)).when();
    hinge::print_error(
        "hinge-serve: {} ended {:.3f} s ago and takes no answers; {} connections are half-closed\n",
        of.peer().text(), std::chrono::duration<double>(age).count(), mine.half_closed());
  }

private:
  instant next_half_closed_ = 0;
  std::bitset<loop_base::max_listeners> told_;  // that its episode has begun
  std::array<instant, loop_base::max_listeners> quiet_until_{};
};

/// RFC 862: what arrives goes back. A peer that has ended its side gets the rest first.
struct echo : public protocol {
  void on_data(connection peer, std::span<std::byte> bytes) const {
    if (!peer.send(bytes)) peer.abort();
  }
  void on_end(connection peer) const { peer.close(); }
};

/// RFC 863: what arrives is thrown away.
struct discard : public protocol {
  void on_data(connection, std::span<std::byte>) const {}
};

/// One fixed page; see http.hpp. While the loop winds down, connections between two requests are
/// closed, the others after their next answer.
class web : public protocol {
public:
  struct payload {
    http::session session;
    instant linger_until = 0;  // 0: not lingering
  };

  void on_data(connection peer, std::span<std::byte> bytes) {
    answer(peer, peer.payload<payload>(), bytes, nullptr);
  }

  void on_end(connection peer) const { peer.close(); }

  void on_drain(connection peer) const { end_idle(peer, peer.payload<payload>()); }

protected:
  /// With a site each connection has one answer.
  void answer(connection peer, payload& state, std::span<std::byte> bytes, const http::site* of) {
    if (state.linger_until != 0) {
      if (peer.loop().now() >= state.linger_until) peer.abort();
      return;
    }
    answers_.clear();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const http::outcome then =
        state.session.receive(text, answers_, of != nullptr || peer.loop().winding_down(), of);
    const auto all = std::as_bytes(std::span(answers_));
    if (then == http::outcome::finish ? !peer.finish(all) : !all.empty() && !peer.send(all)) {
      peer.abort();
    } else if (then == http::outcome::linger) {
      // A close would reset what the client still sends, and the reset destroy the answer on its
      // way (RFC 9112, 9.6): the close is left to the client, for a time.
      peer.shutdown_write();
      const nanoseconds wait = peer.loop().options().drain_timeout;
      state.linger_until = wait.count() == 0 ? deadline::never().when()
                                             : deadline::after(peer.loop().now(), wait).when();
    }
  }

  static void end_idle(connection peer, const payload& state) {
    if (peer.bytes_in() != 0 && state.linger_until == 0 && state.session.between_requests())
      peer.close();
  }

private:
  std::string answers_;  // of the running on_data
};

/// With --metrics: whatever is asked for, one page.
class page_protocol : public web {
public:
  http::site site;

  void on_data(connection peer, std::span<std::byte> bytes) {
    answer(peer, peer.payload<payload>(), bytes, &site);
  }
};

}  // namespace hinge::serve
