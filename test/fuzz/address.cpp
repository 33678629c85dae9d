// Any text as an address: it is one that is written again as something that reads the same, or the
// error says what is wrong.
#include <hinge/address.hpp>

#include <array>

#include "fuzz/fuzz.hpp"

using hinge::address;
using hinge::fuzz::must;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hinge::fuzz::text_of({data, size});
  const auto read = address::parse(text);
  if (!read) {
    must(read.error().code() != 0 && !read.error().argument().empty(), "no reason");
    return 0;
  }
  const std::string shown = read->text();
  must(shown.size() <= address::text_capacity, "longer than the longest: " + shown);
  const auto again = address::parse(shown);
  must(again.has_value(), "refused what was written: " + shown);
  must(*again == *read, "read as another one: " + shown);
  std::array<std::byte, address::kernel_capacity> room{};
  const std::size_t length = read->to_kernel(room);
  must(length != 0 && length <= room.size(), "no name for the kernel: " + shown);
  must(address::from_kernel(reinterpret_cast<const sockaddr*>(room.data()), length) == *read,
       "another one by the kernel: " + shown);
  return 0;
}
