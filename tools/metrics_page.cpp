#include "metrics_page.hpp"

#include <hinge/prometheus.hpp>
#include <hinge/telemetry.hpp>

#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace hinge::serve {
namespace {

/// The snapshot as text; the room grows until it fits.
std::string text_of(loop_base& service, std::string_view backend) {
  telemetry seen(service);
  seen.backend = backend;
  std::string text(prometheus_text(seen, {}), '\0');
  prometheus_text(seen, text);
  return text;
}

/// For those who ask: the service may not take them.
result<void> keep_descriptors(const loop_options& service) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail("getrlimit", "RLIMIT_NOFILE", errno);
  if (limit.rlim_cur >= rlim_t{service.max_connections} + service.head_room) return {};
  return fail("--metrics",
              "of the limit of " + std::to_string(limit.rlim_cur) + " descriptors, " +
                  std::to_string(service.head_room) +
                  " are kept for it and other things: --max-connections is too high",
              EMFILE);
}

}  // namespace

result<void> metrics_page::open(const backend_list& backends) {
  if (result<void> kept = keep_descriptors(service_.options()); !kept) return kept;
  result<any_poller> poller = any_poller::of(backends);
  if (!poller) return fail(poller);
  loop_.emplace(std::move(*poller), page_protocol());
  loop_->handler().loop = &*loop_;
  loop_->handler().site = {
      .target = "/metrics", .type = prometheus_content_type, .page = [this] { return text(); }};
  // A scraper asks at once, and reads what it is told.
  return loop_->open({.max_connections = places,
                      .accepts_per_turn = places / 2,
                      .idle_timeout = std::chrono::seconds(10),
                      .receive_buffers = places,
                      .ring_buffer_bytes = 4096});
}

result<void> metrics_page::start() {
  try {
    thread_ = std::thread([this] { loop_->run(); });
  } catch (const std::system_error& wrong) {
    return fail("pthread_create", "for --metrics", wrong.code().value());
  }
  return {};
}

void metrics_page::leave(held_listeners held) {
  loop_->post([this, held = std::move(held)] {
    for (std::size_t i = 0; i < loop_->listeners(); ++i)
      if (held(i)) loop_->close_listener(i, door_exit::left_to_others);
  });
}

void metrics_page::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  loop_->post([this] { loop_->stop(); });
  thread_.join();
}

/// Asks the service's loop, between two of its turns, and waits for its answer.
std::string metrics_page::text() {
  std::unique_lock lock(mutex_);
  told_.reset();
  service_.post([this] {
    std::string seen = text_of(service_, backend_);
    const std::lock_guard telling(mutex_);
    told_ = std::move(seen);
    changed_.notify_all();
  });
  changed_.wait(lock, [this] { return told_ || ended_; });
  return told_ ? std::move(*told_) : std::string();
}

}  // namespace hinge::serve
