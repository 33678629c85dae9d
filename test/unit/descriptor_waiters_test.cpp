#include <hinge/descriptor_waiters.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

using hinge::descriptor_waiters;

namespace {

constexpr std::size_t most = 1024;

/// Something that waits, and counts how often it was woken.
struct waiter {
  mutable std::atomic<int> woken{0};

  static void wake(const void* self) noexcept { ++static_cast<const waiter*>(self)->woken; }
  void add() const { descriptor_waiters::add(this, wake); }
  void remove() const { descriptor_waiters::remove(this); }
};

}  // namespace

TEST_CASE("nobody waits at first, and waking nobody does nothing") {
  CHECK_FALSE(descriptor_waiters::any());
  descriptor_waiters::notify();
  CHECK_FALSE(descriptor_waiters::any());
}

TEST_CASE("a waiter is woken each time until it is removed") {
  waiter one;
  one.add();
  CHECK(descriptor_waiters::any());
  CHECK(one.woken == 0);
  descriptor_waiters::notify();
  CHECK(one.woken == 1);
  descriptor_waiters::notify();
  CHECK(one.woken == 2);
  CHECK(descriptor_waiters::any());
  one.remove();
  CHECK_FALSE(descriptor_waiters::any());
  descriptor_waiters::notify();
  CHECK(one.woken == 2);
}

TEST_CASE("all are woken; removing one leaves the others") {
  std::array<waiter, 4> all;
  for (const waiter& one : all) one.add();
  descriptor_waiters::notify();
  all[1].remove();
  descriptor_waiters::notify();
  all[3].remove();
  all[0].remove();
  descriptor_waiters::notify();
  CHECK(all[0].woken == 2);
  CHECK(all[1].woken == 1);
  CHECK(all[2].woken == 3);
  CHECK(all[3].woken == 2);
  CHECK(descriptor_waiters::any());
  all[2].remove();
  CHECK_FALSE(descriptor_waiters::any());
}

TEST_CASE("removing what doesn't wait changes nothing") {
  const waiter one;
  const waiter other;
  other.remove();
  CHECK_FALSE(descriptor_waiters::any());
  one.add();
  other.remove();
  descriptor_waiters::notify();
  CHECK(one.woken == 1);
  CHECK(other.woken == 0);
  one.remove();
  one.remove();
  CHECK_FALSE(descriptor_waiters::any());
}

TEST_CASE("1024 wait at most; one more is left out until one has gone") {
  std::vector<waiter> all(most);
  const waiter more;
  for (const waiter& one : all) one.add();
  more.add();
  descriptor_waiters::notify();
  CHECK(std::all_of(all.begin(), all.end(), [](const waiter& one) { return one.woken == 1; }));
  CHECK(more.woken == 0);
  more.remove();
  all[500].remove();
  more.add();
  descriptor_waiters::notify();
  CHECK(all[500].woken == 1);
  CHECK(all[most - 1].woken == 2);
  CHECK(more.woken == 1);
  more.remove();
  for (const waiter& one : all) one.remove();
  CHECK_FALSE(descriptor_waiters::any());
}

TEST_CASE("a waiter that was removed is not woken any more, whatever other threads do") {
  std::atomic<bool> finished{false};
  std::atomic<std::size_t> rounds{0};
  std::thread closer([&] {
    while (!finished) {
      descriptor_waiters::notify();
      ++rounds;
    }
  });
  const waiter always;
  always.add();
  int woken_late = 0;
  int woken = 0;
  for (int i = 0; i < 2000 || (woken == 0 && i < 1'000'000); ++i) {
    const waiter one;
    one.add();
    std::this_thread::yield();
    one.remove();
    const int then = one.woken;
    std::this_thread::yield();
    woken_late += one.woken - then;
    woken += then;
  }
  finished = true;
  closer.join();
  CHECK(woken_late == 0);
  CHECK(woken > 0);
  CHECK(always.woken > 0);
  CHECK(static_cast<std::size_t>(always.woken.load()) <= rounds);
  always.remove();
  CHECK_FALSE(descriptor_waiters::any());
}
