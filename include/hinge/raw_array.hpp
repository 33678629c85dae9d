// Memory for an array whose elements come to life one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace hinge {

/// Room for T[count]. Nothing is constructed and no page is touched until the owner writes an
/// element; whoever constructs an element that needs destruction destroys it too.
template <class T>
class raw_array {
public:
  /// False when memory is short.
  bool open(std::size_t count) noexcept {
    memory_.reset(::operator new (count * sizeof(T), std::align_val_t{alignof(T)}, std::nothrow));
    return memory_ != nullptr;
  }
  T* data() const noexcept { return static_cast<T*>(memory_.get()); }
  T& operator[](std::size_t index) const noexcept { return data()[index]; }

private:
  struct release {
    void operator()(void* memory) const noexcept {
      ::operator delete (memory, std::align_val_t{alignof(T)});
    }
  };
  std::unique_ptr<void, release> memory_;
};

}  // namespace hinge
