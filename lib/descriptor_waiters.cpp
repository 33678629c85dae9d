#include <hinge/descriptor_waiters.hpp>

#include <array>
#include <mutex>

namespace hinge {

namespace {

struct entry {
  const void* waiter;
  descriptor_waiters::wake_function wake;
};

std::mutex guard;
std::array<entry, 1024> entries;

}  // namespace

std::atomic<std::uint32_t> descriptor_waiters::count_{0};

void descriptor_waiters::add(const void* waiter, wake_function wake) noexcept {
  const std::lock_guard lock(guard);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  if (count == entries.size()) return;
  entries[count] = {waiter, wake};
  count_.store(count + 1, std::memory_order_relaxed);
}

void descriptor_waiters::remove(const void* waiter) noexcept {
  const std::lock_guard lock(guard);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (entries[i].waiter != waiter) continue;
    entries[i] = entries[count - 1];
    count_.store(count - 1, std::memory_order_relaxed);
    return;
  }
}

void descriptor_waiters::notify(const void* except) noexcept {
  const std::lock_guard lock(guard);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i)
    if (entries[i].waiter != except) entries[i].wake(entries[i].waiter);
}

}  // namespace hinge
