#include <hinge/mailbox.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

using hinge::mailbox;

TEST_CASE("an empty mailbox gives nothing") {
  mailbox box;
  CHECK(box.take().empty());
}

TEST_CASE("functions come out in the order in which they were posted, and once") {
  mailbox box;
  std::vector<int> ran;
  for (int i = 0; i < 5; ++i) box.post([&ran, i] { ran.push_back(i); });
  CHECK(ran.empty());
  for (mailbox::function& task : box.take()) task();
  CHECK(ran == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(box.take().empty());
}

TEST_CASE("only the post that finds the mailbox empty asks for a wake-up") {
  mailbox box;
  CHECK(box.post([] {}));
  CHECK_FALSE(box.post([] {}));
  CHECK_FALSE(box.post([] {}));
  CHECK(box.take().size() == 3);
  CHECK(box.post([] {}));
  CHECK(box.take().size() == 1);
}

TEST_CASE("a function may post another, which comes with the next take") {
  mailbox box;
  int ran = 0;
  bool wake = false;
  box.post([&] { wake = box.post([&ran] { ++ran; }); });
  for (mailbox::function& task : box.take()) task();
  CHECK(wake);
  CHECK(ran == 0);
  for (mailbox::function& task : box.take()) task();
  CHECK(ran == 1);
}

TEST_CASE("what was never taken is destroyed with the mailbox") {
  const auto held = std::make_shared<int>(1);
  {
    mailbox box;
    box.post([held] {});
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("posts of several threads: none lost, each thread's in order, one wake-up a take") {
  constexpr int posters = 4;
  constexpr int posts = 5000;
  mailbox box;
  std::atomic<std::size_t> wakes{0};
  std::atomic<int> running{posters};
  std::vector<std::vector<int>> ran(posters);
  std::vector<std::thread> threads;
  for (std::size_t poster = 0; poster < posters; ++poster)
    threads.emplace_back([&, poster] {
      for (int i = 0; i < posts; ++i)
        wakes += box.post([&ran, poster, i] { ran[poster].push_back(i); });
      --running;
    });

  std::size_t takes = 0;
  for (bool last = false; !last;) {
    last = running == 0;  // then nothing is posted after this take
    std::vector<mailbox::function> tasks = box.take();
    takes += !tasks.empty();
    for (mailbox::function& task : tasks) task();
    if (tasks.empty()) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(wakes == takes);
  for (const std::vector<int>& one : ran) {
    REQUIRE(one.size() == posts);
    bool ordered = true;
    for (int i = 0; i < posts; ++i) ordered = ordered && one[static_cast<std::size_t>(i)] == i;
    CHECK(ordered);
  }
}
