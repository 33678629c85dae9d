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

#include "statistics.hpp"

namespace hinge::serve {
namespace {

/// The snapshot as text; the room is as long as it wants.
template <class Snapshot>
std::string text_of(const Snapshot& seen) {
  std::string text(prometheus_text(seen, {}), '\0');
  prometheus_text(seen, text);
  return text;
}

/// For those who ask: the service may not take them.
result<void> keep_descriptors(std::uint64_t connections, std::uint32_t head_room) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail("getrlimit", "RLIMIT_NOFILE", errno);
  if (limit.rlim_cur >= rlim_t{connections} + head_room) return {};
  return fail("--metrics",
              "of the limit of " + std::to_string(limit.rlim_cur) + " descriptors, " +
                  std::to_string(head_room) +
                  " are kept for it and other things: --max-connections is too high",
              EMFILE);
}

/// The most loops of a server fill some 2 MB.
constexpr std::uint32_t longest_page = 8 * 1024 * 1024;

}  // namespace

std::string loop_text::get() {
  std::unique_lock lock(mutex_);
  told_.reset();
  loop_.post([this] {
    telemetry figures(loop_);
    figures.backend = backend_;
    std::string seen = text_of(figures);
    const std::lock_guard telling(mutex_);
    told_ = std::move(seen);
    changed_.notify_all();
  });
  changed_.wait(lock, [this] { return told_ || ended_; });
  return told_ ? std::move(*told_) : std::string();
}

void loop_text::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

std::string server_text(const server_base& of) { return text_of(of.statistics(loop_patience)); }

result<void> metrics_page::open(const backend_list& backends, std::uint64_t connections,
                                std::uint32_t head_room) {
  if (result<void> kept = keep_descriptors(connections, head_room); !kept) return kept;
  result<any_poller> poller = any_poller::of(backends);
  if (!poller) return fail(poller);
  loop_.emplace(std::move(*poller), page_protocol());
  loop_->handler().loop = &*loop_;
  loop_->handler().site = {.target = "/metrics", .type = prometheus_content_type, .page = text_};
  // A scraper asks at once, and reads what it is told.
  return loop_->open({.max_connections = places,
                      .accepts_per_turn = places / 2,
                      .queue_limit_bytes = longest_page,
                      .idle_timeout = std::chrono::seconds(10),
                      .receive_buffers = places,
                      .ring_buffer_bytes = 4096});
}

result<std::vector<outgoing_listener>> metrics_page::listen(const beginnings& from) {
  std::vector<place> one;
  one.push_back(std::move(place_));
  if (auto listening = serve::listen(*loop_, std::move(one), {}); !listening)
    return fail(listening);
  owned_.emplace(*loop_, from);
  return outgoing(*loop_, from, metrics_name);
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
  loop_->post([this] { loop_->stop(); });
  thread_.join();
}

}  // namespace hinge::serve
