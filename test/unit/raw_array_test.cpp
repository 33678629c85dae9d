#include <hinge/raw_array.hpp>

#include <catch2/catch_test_macros.hpp>

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

using hinge::raw_array;

namespace {
bool memory_is_short = false;
int arrays_alive = 0;
}  // namespace

// Raw arrays allocate through this one.
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  void* memory = nullptr;
  const auto least = std::max(static_cast<std::size_t>(alignment), sizeof(void*));
  if (memory_is_short || posix_memalign(&memory, least, bytes) != 0) return nullptr;
  ++arrays_alive;
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  --arrays_alive;
  std::free(memory);
}

namespace {

struct counted {
  static inline int alive = 0;
  static inline int ever = 0;
  counted() { ++alive, ++ever; }
  ~counted() { --alive; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
};

/// Pages of the array's memory that have been touched, according to mincore(2).
template <class T>
std::size_t resident_pages(const raw_array<T>& array, std::size_t count) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(array.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(array.data() + count);
  std::vector<unsigned char> pages((end - begin + page - 1) / page);
  REQUIRE(mincore(reinterpret_cast<void*>(begin), end - begin, pages.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char one) { return (one & 1) != 0; }));
}

}  // namespace

TEST_CASE("an array has room for all its elements, and gives its memory back once") {
  {
    raw_array<std::uint64_t> array;
    CHECK(array.data() == nullptr);
    REQUIRE(array.open(1000));
    CHECK(arrays_alive == 1);
    for (std::size_t i = 0; i < 1000; ++i) array[i] = i * i;
    bool kept = true;
    for (std::size_t i = 0; i < 1000; ++i) kept = kept && array.data()[i] == i * i;
    CHECK(kept);
    REQUIRE(array.open(10));
    CHECK(arrays_alive == 1);
  }
  CHECK(arrays_alive == 0);
}

TEST_CASE("an array is aligned as its elements") {
  struct alignas(256) wide {
    char text[256];
  };
  raw_array<wide> array;
  REQUIRE(array.open(3));
  CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % 256 == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(&array[1]) ==
        reinterpret_cast<std::uintptr_t>(array.data()) + 256);
}

TEST_CASE("elements live when their owner says so") {
  {
    raw_array<counted> array;
    REQUIRE(array.open(100));
    CHECK(counted::ever == 0);
    std::construct_at(array.data() + 40);
    CHECK(counted::alive == 1);
    std::destroy_at(array.data() + 40);
  }
  CHECK(counted::alive == 0);
  CHECK(counted::ever == 1);
}

TEST_CASE("no page is touched before an element is written") {
  constexpr std::size_t count = std::size_t{8} << 20;  // 64 MiB
  ::mallopt(M_PERTURB, 0);                             // Meson asks the allocator to fill memory
  raw_array<std::uint64_t> array;
  REQUIRE(array.open(count));
  // The allocator's own header, and what a sanitizer marks at the beginning.
  const std::size_t before = resident_pages(array, count);
  CHECK(before <= 4);
  array[count / 2] = 1;
  CHECK(resident_pages(array, count) > before);
}

TEST_CASE("an array for which memory is short says so, and can be opened later") {
  raw_array<int> array;
  memory_is_short = true;
  const bool opened = array.open(10);
  memory_is_short = false;
  CHECK_FALSE(opened);
  CHECK(array.data() == nullptr);
  CHECK(array.open(10));
}
