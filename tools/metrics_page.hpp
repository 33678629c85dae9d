// hinge-serve --metrics: a page of figures for Prometheus, served by a loop of its own.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/backend.hpp>
#include <hinge/error.hpp>
#include <hinge/listener_passing.hpp>
#include <hinge/loop.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/server_base.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "listening.hpp"
#include "predecessor.hpp"
#include "protocols.hpp"
#include "retiring.hpp"

namespace hinge::serve {

/// The figures of one loop as text, for another thread.
class loop_text {
public:
  /// The loop outlives it.
  loop_text(loop_base& of, std::string_view backend) : loop_(of), backend_(backend) {}
  loop_text(const loop_text&) = delete;
  loop_text& operator=(const loop_text&) = delete;

  /// Asks the loop, between two of its turns, and waits for its answer. Empty: it has ended.
  std::string get();
  /// The loop has ended.
  void end();

private:
  loop_base& loop_;
  const std::string backend_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> told_;
  bool ended_ = false;
};

/// Those of a server's loops. Any thread but theirs; waits for no loop longer than loop_patience.
std::string server_text(const server_base& of);

/// In a thread of its own, with places of its own, and with descriptors that the service leaves
/// to it: who asks is answered also when the service has no room for anybody more.
class metrics_page {
public:
  /// Connections at one time.
  static constexpr std::uint32_t places = 16;

  /// `text` is called in the page's thread.
  metrics_page(place at, std::function<std::string()> text)
      : place_(std::move(at)), text_(std::move(text)) {}
  ~metrics_page() { end(); }
  metrics_page(const metrics_page&) = delete;
  metrics_page& operator=(const metrics_page&) = delete;

  /// Fails also when the service may take all descriptors: it has at most so many connections, and
  /// leaves `head_room` of the limit.
  result<void> open(const backend_list& backends, std::uint64_t connections,
                    std::uint32_t head_room);
  /// At its place; what a successor is given. `from` outlives the page.
  result<std::vector<outgoing_listener>> listen(const beginnings& from);
  const loop_base& loop() const noexcept { return *loop_; }
  std::string_view backend() noexcept { return loop_->poller().name(); }

  /// Serves. Its thread inherits the caller's signal mask.
  result<void> start();
  /// Where somebody else has its sockets, too: who waits there is served, and further ones are his.
  void leave(held_listeners held);
  /// The service has ended; so has the wait of a `text` for it.
  void end();

private:
  place place_;
  std::function<std::string()> text_;
  std::optional<hinge::loop<any_poller, page_protocol>> loop_;
  std::optional<owned_paths<loop_base>> owned_;
  std::thread thread_;
};

}  // namespace hinge::serve
