// Chains of segments against strings of the same bytes.
#include <hinge/segment_pool.hpp>

#include <hinge/event.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using hinge::no_buffer;
using hinge::segment_chain;
using hinge::segment_pool;

namespace {
std::atomic<std::uint64_t> allocations{0};
}  // namespace

// Every allocation of this program is counted. Out of line, because GCC 12 warns of a mismatch when
// it sees only one side of a pair inlined.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (void* const memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return operator new(bytes, std::nothrow);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) { return operator new(bytes); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

constexpr std::size_t segment = segment_pool::segment_bytes;
constexpr std::size_t slab = segment * segment_pool::slab_segments;
constexpr std::uint32_t some_references = 64;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view text_of(const std::byte* data, std::size_t length) {
  return {reinterpret_cast<const char*>(data), length};
}

/// Text in which every place looks different from its neighbourhood.
std::string pattern(std::size_t length, unsigned start = 0) {
  std::string made(length, '\0');
  for (std::size_t i = 0; i < length; ++i)
    made[i] = static_cast<char>((start + i) * 2654435761U >> 24);
  return made;
}

/// All that a chain holds, as sendmsg(2) would see it.
std::string contents(const segment_pool& pool, const segment_chain& chain) {
  std::vector<iovec> pieces(4096);
  const std::size_t count = pool.gather(chain, pieces);
  REQUIRE(count < pieces.size());
  std::string made;
  for (std::size_t i = 0; i < count; ++i)
    made.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  return made;
}

std::size_t piece_count(const segment_pool& pool, const segment_chain& chain) {
  std::vector<iovec> pieces(4096);
  return pool.gather(chain, pieces);
}

/// Drops everything; returns the received buffers that were done, in order.
std::vector<std::uint16_t> drop(segment_pool& pool, segment_chain& chain) {
  std::vector<std::uint16_t> buffers;
  while (!chain.empty()) {
    const std::uint16_t done = pool.consume_front(chain, pool.front(chain).length);
    if (done != no_buffer) buffers.push_back(done);
  }
  return buffers;
}

}  // namespace

TEST_CASE("a new chain is empty, and appending nothing leaves it so") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  segment_chain chain;
  CHECK(chain.empty());
  CHECK(pool.append(chain, {}));
  CHECK(chain.empty());
  CHECK(pool.gather(chain, {}) == 0);
  REQUIRE(pool.append(chain, bytes_of("x")));
  CHECK(pool.append(chain, {}));
  CHECK(contents(pool, chain) == "x");
}

TEST_CASE("small appends share a segment, large ones fill the rest of it first") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  segment_chain chain;
  const std::string text = pattern(segment + 10);
  REQUIRE(pool.append(chain, bytes_of(text).first(100)));
  REQUIRE(pool.append(chain, bytes_of(text).subspan(100, 900)));
  CHECK(pool.single(chain));
  CHECK(pool.front(chain).length == 1000);
  REQUIRE(pool.append(chain, bytes_of(text).subspan(1000)));
  CHECK_FALSE(pool.single(chain));
  CHECK(piece_count(pool, chain) == 2);
  CHECK(pool.front(chain).length == segment);
  CHECK(contents(pool, chain) == text);
}

TEST_CASE("what was consumed at a segment's front is not overwritten nor sent again") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  segment_chain chain;
  const std::string text = pattern(3 * segment);
  REQUIRE(pool.append(chain, bytes_of(text).first(1000)));
  CHECK(pool.consume_front(chain, 999) == no_buffer);
  REQUIRE(pool.append(chain, bytes_of(text).subspan(1000)));
  CHECK(contents(pool, chain) == text.substr(999));
  CHECK(pool.front(chain).length == segment - 999);
  CHECK(pool.consume_front(chain, segment - 999) == no_buffer);
  CHECK(contents(pool, chain) == text.substr(segment));
  CHECK(drop(pool, chain).empty());
  CHECK(chain.tail == segment_chain::none);
}

TEST_CASE("a reference is the very memory, is never appended to, and gives its buffer back once") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  segment_chain chain;
  const std::string received = pattern(300, 7);
  REQUIRE(pool.append_reference(chain, bytes_of(received), 42));
  CHECK(pool.single(chain));
  CHECK(pool.front(chain).data == bytes_of(received).data());
  CHECK(pool.front(chain).length == 300);
  CHECK(pool.front(chain).buffer == 42);
  const std::string after = pattern(10, 3);
  REQUIRE(pool.append(chain, bytes_of(after)));
  CHECK(received == pattern(300, 7));
  CHECK(contents(pool, chain) == received + after);
  CHECK(pool.consume_front(chain, 100) == no_buffer);
  CHECK(pool.front(chain).data == bytes_of(received).data() + 100);
  CHECK(pool.consume_front(chain, 200) == 42);
  CHECK(pool.front(chain).buffer == no_buffer);
  CHECK(pool.consume_front(chain, 10) == no_buffer);
  CHECK(chain.empty());
}

TEST_CASE("gather fills no more than there is room for") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  segment_chain chain;
  const std::string text = pattern(5 * segment);
  REQUIRE(pool.append(chain, bytes_of(text)));
  std::array<iovec, 4> pieces{};
  CHECK(pool.gather(chain, std::span(pieces).first(3)) == 3);
  CHECK(pieces[3].iov_base == nullptr);
  CHECK(static_cast<const std::byte*>(pieces[0].iov_base) == pool.front(chain).data);
  CHECK(text_of(static_cast<const std::byte*>(pieces[2].iov_base), pieces[2].iov_len) ==
        std::string_view(text).substr(2 * segment, segment));
}

TEST_CASE("an exhausted pool takes all of an append or nothing") {
  segment_pool pool;
  REQUIRE(pool.open(1, some_references));  // rounded up to a slab
  segment_chain first;
  segment_chain second;
  const std::string text = pattern(slab - segment - 100);
  REQUIRE(pool.append(first, bytes_of(text)));
  REQUIRE(pool.append(second, bytes_of("second")));
  const std::string more = pattern(segment, 99);
  CHECK_FALSE(pool.append(first, bytes_of(more).first(101)));
  CHECK_FALSE(pool.append(second, bytes_of(more)));
  CHECK(contents(pool, first) == text);
  CHECK(contents(pool, second) == "second");
  CHECK(pool.append(first, bytes_of(more).first(100)));
  CHECK(contents(pool, first) == text + more.substr(0, 100));
  CHECK(pool.append(second, bytes_of(more).first(segment - 6)));
  CHECK_FALSE(pool.append(second, bytes_of("x")));
  drop(pool, second);
  CHECK(pool.append_reference(first, bytes_of(more), 1));
  CHECK_FALSE(pool.append(second, bytes_of("x")));
  CHECK(second.empty());
  CHECK(drop(pool, first) == std::vector<std::uint16_t>{1});
  const std::string all = pattern(slab, 5);
  CHECK_FALSE(pool.append(first, bytes_of(all + "x")));
  CHECK(first.empty());
  CHECK(pool.append(first, bytes_of(all)));
  CHECK(contents(pool, first) == all);
}

TEST_CASE("bytes are bounded, copied or referred to, and so are references") {
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  CHECK(pool.references() == some_references);
  segment_chain chain;
  const std::string text = pattern(slab + 1);
  CHECK_FALSE(pool.append_reference(chain, bytes_of(text), 1));
  CHECK(pool.append_reference(chain, bytes_of(text).first(slab - 1000), 1));
  CHECK_FALSE(pool.append_reference(chain, bytes_of(text).first(1001), 2));
  CHECK_FALSE(pool.append(chain, bytes_of(text).first(1001)));
  // Small ones take no more of it than they have.
  for (std::uint16_t i = 1; i < some_references; ++i)
    REQUIRE(pool.append_reference(chain, bytes_of(text).first(10), i));
  CHECK_FALSE(pool.append_reference(chain, bytes_of(text).first(10), 2));
  CHECK(pool.append(chain, bytes_of(text).first(370)));
  CHECK_FALSE(pool.append(chain, bytes_of("x")));
  CHECK_FALSE(pool.empty());
  CHECK(drop(pool, chain).size() == some_references);
  CHECK(pool.empty());
}

TEST_CASE("a pool of no bytes holds nothing") {
  segment_pool pool;
  REQUIRE(pool.open(0, some_references));
  segment_chain chain;
  CHECK_FALSE(pool.append(chain, bytes_of("x")));
  CHECK_FALSE(pool.append_reference(chain, bytes_of("x"), 1));
  CHECK(chain.empty());
}

TEST_CASE("a pool has a slab from the start, grows on demand, and after that never allocates") {
  segment_pool pool;
  REQUIRE(pool.open(4 * slab, some_references));
  segment_chain chain;
  const std::string text = pattern(3 * slab);
  const std::uint64_t before = allocations;
  REQUIRE(pool.append(chain, bytes_of(text).first(1)));
  const std::uint64_t one_slab = allocations;
  REQUIRE(pool.append(chain, bytes_of(text).subspan(1)));
  const std::uint64_t three_slabs = allocations;
  CHECK(one_slab == before);
  CHECK(three_slabs == before + 2);
  CHECK(contents(pool, chain) == text);
  drop(pool, chain);

  const std::uint64_t warm = allocations;
  std::uint64_t refused = 0;
  for (unsigned round = 0; round < 100; ++round) {
    segment_chain other;
    refused += !pool.append(chain, bytes_of(text).first(slab + round * 1000));
    refused += !pool.append(other, bytes_of(text).first(slab));
    refused += !pool.append_reference(other, bytes_of(text).first(10), 3);
    while (!other.empty()) pool.consume_front(other, pool.front(other).length);
    while (!chain.empty()) pool.consume_front(chain, (pool.front(chain).length + 1) / 2);
  }
  const std::uint64_t after = allocations;
  CHECK(refused == 0);
  CHECK(after == warm);
}

namespace {

/// A chain and what it should hold.
struct checked_chain {
  struct piece {
    std::string text;
    std::uint16_t buffer;
  };
  segment_chain chain;
  std::vector<piece> references;  // those not yet given back, in order
  std::string text;

  void check(const segment_pool& pool) const {
    REQUIRE(contents(pool, chain) == text);
    REQUIRE(chain.empty() == text.empty());
    if (text.empty()) return;
    REQUIRE(pool.single(chain) == (piece_count(pool, chain) == 1));
    const segment_pool::piece first = pool.front(chain);
    REQUIRE(first.length != 0);
    REQUIRE(text_of(first.data, first.length) == std::string_view(text).substr(0, first.length));
    if (first.buffer != no_buffer) REQUIRE(first.buffer == references.front().buffer);
  }
};

}  // namespace

TEST_CASE("random chains hold what strings hold") {
  const unsigned seed = GENERATE(range(1U, 11U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](std::size_t count) { return random() % count; };
  const std::string source = pattern(8 * segment, seed);
  segment_pool pool;
  REQUIRE(pool.open(slab, some_references));
  std::array<checked_chain, 5> chains;
  unsigned refusals = 0;
  for (std::uint16_t step = 0; step < 3000; ++step) {
    CAPTURE(step);
    checked_chain& one = chains[below(chains.size())];
    const std::size_t wanted = 1 + below(below(2) == 0 ? 200 : 7 * segment);
    const std::string_view text = std::string_view(source).substr(below(segment), wanted);
    switch (below(8)) {
      case 0:
      case 1:
        if (pool.append(one.chain, bytes_of(text))) {
          one.text += text;
        } else {
          ++refusals;
        }
        break;
      case 2:
        if (pool.append_reference(one.chain, bytes_of(text), step)) {
          one.references.push_back({std::string(text), step});
          one.text += text;
        } else {
          ++refusals;
        }
        break;
      default: {
        if (one.text.empty()) break;
        const segment_pool::piece first = pool.front(one.chain);
        const auto count =
            below(3) == 0 ? static_cast<std::uint32_t>(1 + below(first.length)) : first.length;
        const std::uint16_t done = pool.consume_front(one.chain, count);
        const bool ended = count == first.length && first.buffer != no_buffer;
        REQUIRE(done == (ended ? one.references.front().buffer : no_buffer));
        if (ended) one.references.erase(one.references.begin());
        one.text.erase(0, count);
      }
    }
    one.check(pool);
  }
  for (const checked_chain& one : chains) one.check(pool);
  CHECK(refusals > 10);
  for (checked_chain& one : chains) {
    std::vector<std::uint16_t> expected;
    for (const auto& reference : one.references) expected.push_back(reference.buffer);
    CHECK(drop(pool, one.chain) == expected);
  }
  segment_chain all;
  CHECK(pool.append(all, bytes_of(pattern(slab))));
}
