#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "print_error.hpp"

namespace hinge::bench {

namespace {

constexpr nanoseconds between_lines = std::chrono::milliseconds(500);
constexpr double lines_per_second = 2;

}  // namespace

bool shows_progress() noexcept {
  const char* const terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) != "dumb" && isatty(STDERR_FILENO) == 1;
}

progress_line::progress_line(const load_progress& counts, nanoseconds whole)
    : counts_(counts), end_(now() + whole.count()), thread_([this] { work(); }) {}

progress_line::~progress_line() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
  print_error("\r\x1b[K");
}

void progress_line::work() {
  std::uint64_t before = 0;
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, between_lines, [this] { return over_; })) {
    const std::uint64_t completed = counts_.completed.load(std::memory_order_relaxed);
    const instant left = std::max(end_ - now(), instant{0}) / 1'000'000'000;
    print_error("\r{:.0f} per second, {} errors, {} s left\x1b[K",
                static_cast<double>(completed - before) * lines_per_second,
                counts_.failed.load(std::memory_order_relaxed), left);
    before = completed;
  }
}

}  // namespace hinge::bench
