// Requests of this program for memory, by operator new, some of which fail. Replaces the operators
// of the whole program: one source of a program includes it. Whether all is given back is for the
// sanitizer to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace hinge::test {

namespace detail {
struct memory_account {
  std::uint64_t until_fault = 0;  // 0: none fails
  bool for_good = false;
  bool failed = false;
  int plenty = 0;
};
// Of one thread: what others ask for is theirs.
inline thread_local memory_account memory;
}  // namespace detail

/// While it lives, the `nth` request of this thread fails, and if `for_good` all after it.
class short_memory {
public:
  short_memory(std::uint64_t nth, bool for_good) {
    detail::memory = {.until_fault = nth, .for_good = for_good};
  }
  ~short_memory() { detail::memory = {}; }
  short_memory(const short_memory&) = delete;
  short_memory& operator=(const short_memory&) = delete;

  bool has_failed() const { return detail::memory.failed; }
};

/// While it lives nothing fails, and nothing is counted towards the n-th.
class memory_in_plenty {
public:
  memory_in_plenty() { ++detail::memory.plenty; }
  ~memory_in_plenty() { --detail::memory.plenty; }
  memory_in_plenty(const memory_in_plenty&) = delete;
  memory_in_plenty& operator=(const memory_in_plenty&) = delete;
};

namespace detail {

inline bool memory_fails() {
  memory_account& of = memory;
  if (of.until_fault == 0 || of.plenty != 0) return false;
  if (of.until_fault > 1) {
    --of.until_fault;
    return false;
  }
  if (!of.for_good) of.until_fault = 0;
  return of.failed = true;
}

inline void* allocate(std::size_t size) { return memory_fails() ? nullptr : std::malloc(size); }

inline void* allocate(std::size_t size, std::align_val_t align) {
  const auto unit = static_cast<std::size_t>(align);
  return memory_fails() ? nullptr : std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}

inline void* or_throw(void* piece) { return piece != nullptr ? piece : throw std::bad_alloc(); }

}  // namespace detail
}  // namespace hinge::test

// What the library and the C++ library have of them: single objects and arrays alike.
#define HINGE_REPLACED(kind)                                                              \
  void* operator new kind(std::size_t size) {                                             \
    return hinge::test::detail::or_throw(hinge::test::detail::allocate(size));            \
  }                                                                                       \
  void* operator new kind(std::size_t size, std::align_val_t align) {                     \
    return hinge::test::detail::or_throw(hinge::test::detail::allocate(size, align));     \
  }                                                                                       \
  void* operator new kind(std::size_t size, const std::nothrow_t&) noexcept {             \
    return hinge::test::detail::allocate(size);                                           \
  }                                                                                       \
  void* operator new kind(std::size_t size, std::align_val_t align,                       \
                          const std::nothrow_t&) noexcept {                               \
    return hinge::test::detail::allocate(size, align);                                    \
  }                                                                                       \
  void operator delete kind(void* piece) noexcept { std::free(piece); }                   \
  void operator delete kind(void* piece, std::size_t) noexcept { std::free(piece); }      \
  void operator delete kind(void* piece, std::align_val_t) noexcept { std::free(piece); } \
  void operator delete kind(void* piece, std::size_t, std::align_val_t) noexcept {        \
    std::free(piece);                                                                     \
  }
HINGE_REPLACED()
HINGE_REPLACED([])
#undef HINGE_REPLACED
