// An IP address and port from its text.
#pragma once

#include <hinge/address.hpp>

#include <string_view>

namespace hinge::test {

inline inet_name inet_name_of(std::string_view text) { return address::parse(text)->inet(); }

}  // namespace hinge::test
