#include <hinge/close_cause.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

using hinge::close_cause;

namespace {

/// Every cause with its name; the compiler warns here when one is added.
constexpr std::string_view spelled(close_cause cause) {
  switch (cause) {
    case close_cause::none:
      return "none";
    case close_cause::peer_closed:
      return "peer_closed";
    case close_cause::peer_reset:
      return "peer_reset";
    case close_cause::local_close:
      return "local_close";
    case close_cause::local_abort:
      return "local_abort";
    case close_cause::first_byte_timeout:
      return "first_byte_timeout";
    case close_cause::idle_timeout:
      return "idle_timeout";
    case close_cause::write_stall:
      return "write_stall";
    case close_cause::drain:
      return "drain";
    case close_cause::queue_full:
      return "queue_full";
    case close_cause::error:
      return "error";
    case close_cause::denied:
      return "denied";
    case close_cause::listener_full:
      return "listener_full";
    case close_cause::pending_full:
      return "pending_full";
    case close_cause::listener_rate:
      return "listener_rate";
    case close_cause::source_full:
      return "source_full";
    case close_cause::source_rate:
      return "source_rate";
    case close_cause::network_full:
      return "network_full";
    case close_cause::network_rate:
      return "network_rate";
  }
  return {};
}

}  // namespace

TEST_CASE("every cause has the name that it has in the source") {
  for (std::size_t i = 0; i < hinge::close_causes; ++i) {
    const auto cause = static_cast<close_cause>(i);
    CAPTURE(i);
    CHECK_FALSE(spelled(cause).empty());
    CHECK(hinge::name_of(cause) == spelled(cause));
  }
  // The number of causes is that of the switch above.
  CHECK(spelled(static_cast<close_cause>(hinge::close_causes)).empty());
}

TEST_CASE("no two causes share a name") {
  std::array names = hinge::close_cause_names;
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("a connection that is open has no cause: it is the value 0") {
  CHECK(close_cause{} == close_cause::none);
}
