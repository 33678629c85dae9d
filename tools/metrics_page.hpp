// hinge-serve --metrics: the figures of a loop for Prometheus, served by another loop.
#pragma once

#include <hinge/any_poller.hpp>
#include <hinge/backend.hpp>
#include <hinge/error.hpp>
#include <hinge/loop.hpp>
#include <hinge/loop_base.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "protocols.hpp"
#include "retiring.hpp"

namespace hinge::serve {

/// In a thread of its own, with places of its own, and with descriptors that the service leaves
/// to it: who asks is answered also when the service has no room for anybody more.
class metrics_page {
public:
  /// Connections at one time.
  static constexpr std::uint32_t places = 16;

  /// Of that loop, which runs somewhere else, on that backend. It outlives the page.
  metrics_page(loop_base& service, std::string_view backend)
      : service_(service), backend_(backend) {}
  ~metrics_page() { end(); }
  metrics_page(const metrics_page&) = delete;
  metrics_page& operator=(const metrics_page&) = delete;

  /// Fails also when the service may take all descriptors.
  result<void> open(const backend_list& backends);
  /// To be given its listeners, before start().
  loop_base& loop() noexcept { return *loop_; }
  std::string_view backend() noexcept { return loop_->poller().name(); }

  /// Serves. Its thread inherits the caller's signal mask.
  result<void> start();
  /// Where somebody else has its sockets, too: who waits there is served, and further ones are his.
  void leave(held_listeners held);
  /// The service's loop has ended.
  void end();

private:
  std::string text();

  loop_base& service_;
  const std::string backend_;
  std::optional<hinge::loop<any_poller, page_protocol>> loop_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> told_;
  bool ended_ = false;
};

}  // namespace hinge::serve
