// What a loop refuses to be opened with, and that it names the field; what is at a limit passes.
#include <hinge/loop_options.hpp>

#include <hinge/loop.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <sys/resource.h>

#include "support/readiness_poller.hpp"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <limits>
#include <span>
#include <string>

using hinge::loop_options;
using hinge::nanoseconds;

namespace {

struct deaf_handler {
  void on_data(hinge::connection, std::span<std::byte>) {}
};

using tested_loop = hinge::loop<hinge::test::readiness_poller, deaf_handler>;

/// Options in which every field is as small as the others allow.
loop_options small() {
  loop_options options;
  options.max_connections = 4;
  options.accepts_per_turn = 6;
  options.events_per_turn = 8;
  options.receive_buffer_bytes = 1;
  options.receives_per_event = 1;
  options.queue_high_bytes = 10;
  options.queue_low_bytes = 10;
  options.queue_limit_bytes = 11;
  options.queue_total_bytes = 11;
  options.first_byte_timeout = {};
  options.idle_timeout = {};
  options.write_stall_timeout = {};
  options.drain_timeout = {};
  return options;
}

struct refused_field {
  std::string field;
  void (*change)(loop_options&);
};

constexpr nanoseconds year = std::chrono::hours(24 * 365);
constexpr nanoseconds too_long = std::chrono::hours(24 * 367);

/// A lower soft limit of descriptors, until the end of the scope.
class descriptor_limit {
public:
  explicit descriptor_limit(rlim_t soft) {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit lower{soft, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &lower) == 0);
  }
  ~descriptor_limit() { setrlimit(RLIMIT_NOFILE, &before_); }
  descriptor_limit(const descriptor_limit&) = delete;
  descriptor_limit& operator=(const descriptor_limit&) = delete;

private:
  rlimit before_{};
};

void check_refused(const loop_options& options, const std::string& field) {
  tested_loop loop;
  const hinge::result<void> opened = loop.open(options);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code() == EINVAL);
  CHECK(std::string(opened.error().call()) == "open loop");
  CHECK(std::string(opened.error().argument()).substr(0, field.size() + 1) == field + " ");
}

}  // namespace

TEST_CASE("the defaults pass") {
  tested_loop loop;
  const hinge::result<void> opened = loop.open();
  CHECK(opened.has_value());
}

TEST_CASE("the smallest options pass, and timeouts that are off") {
  tested_loop loop;
  CHECK(loop.open(small()).has_value());
}

TEST_CASE("each field that is out of its range is refused by its name") {
  const auto [field, change] = GENERATE(values<refused_field>({
      {"accepts_per_turn", [](loop_options& o) { o.accepts_per_turn = 0; }},
      {"events_per_turn", [](loop_options& o) { o.events_per_turn = 0; }},
      {"events_per_turn", [](loop_options& o) { o.events_per_turn = 7; }},
      {"events_per_turn", [](loop_options& o) { o.accepts_per_turn = 7; }},
      {"events_per_turn", [](loop_options& o) { o.accepts_per_turn = 1, o.events_per_turn = 7; }},
      {"events_per_turn", [](loop_options& o) { o.events_per_turn = 65537; }},
      {"events_per_turn", [](loop_options& o) { o.accepts_per_turn = 0xffff'ffff; }},
      {"receive_buffer_bytes", [](loop_options& o) { o.receive_buffer_bytes = 0; }},
      {"receives_per_event", [](loop_options& o) { o.receives_per_event = 0; }},
      {"queue_low_bytes", [](loop_options& o) { o.queue_low_bytes = 11; }},
      {"queue_limit_bytes", [](loop_options& o) { o.queue_limit_bytes = 10; }},
      {"queue_limit_bytes", [](loop_options& o) { o.receive_buffer_bytes = 2; }},
      {"queue_limit_bytes", [](loop_options& o) { o.receive_buffer_bytes = 0xffff'ffff; }},
      {"queue_limit_bytes", [](loop_options& o) { o.queue_limit_bytes = 0x4000'0001; }},
      {"queue_total_bytes", [](loop_options& o) { o.queue_total_bytes = 10; }},
      {"queue_total_bytes", [](loop_options& o) { o.queue_total_bytes = 0; }},
      {"max_connections", [](loop_options& o) { o.max_connections = (1U << 24) + 1; }},
  }));
  loop_options options = small();
  change(options);
  CAPTURE(field);
  check_refused(options, field);
}

TEST_CASE("a timeout that is negative or over a year is refused by its name") {
  using field = nanoseconds loop_options::*;
  const auto [name, timeout] = GENERATE(table<std::string, field>({
      {"first_byte_timeout", &loop_options::first_byte_timeout},
      {"idle_timeout", &loop_options::idle_timeout},
      {"write_stall_timeout", &loop_options::write_stall_timeout},
      {"drain_timeout", &loop_options::drain_timeout},
      {"half_closed_limit", &loop_options::half_closed_limit},
  }));
  CAPTURE(name);
  loop_options options = small();
  options.*timeout = nanoseconds(-1);
  check_refused(options, name);
  options.*timeout = too_long;
  check_refused(options, name);
  options.*timeout = nanoseconds::max();
  check_refused(options, name);
  options.*timeout = year;
  tested_loop loop;
  CHECK(loop.open(options).has_value());
}

TEST_CASE("what stands at its upper limit passes") {
  loop_options options = small();
  options.accepts_per_turn = 65534;
  options.events_per_turn = 65536;
  options.queue_limit_bytes = 0x4000'0000;
  options.queue_total_bytes = std::numeric_limits<std::uint32_t>::max();
  options.queue_high_bytes = 0x4000'0000 - 1;
  tested_loop loop;
  CHECK(loop.open(options).has_value());
}

TEST_CASE("a loop that was refused is destroyed like any other, and can't listen") {
  loop_options options = small();
  options.receives_per_event = 0;
  tested_loop loop;
  CHECK_FALSE(loop.open(options).has_value());
  const auto listened = loop.listen(hinge::listener());
  REQUIRE_FALSE(listened.has_value());
  CHECK(listened.error().code() == EINVAL);
}

TEST_CASE("without max_connections the table has room for the descriptors less head_room") {
  const descriptor_limit limit(100);
  loop_options options = small();
  options.max_connections = 0;
  options.head_room = 60;
  tested_loop loop;
  REQUIRE(loop.open(options).has_value());
  CHECK(loop.options().max_connections == 40);

  options.head_room = 99;
  tested_loop one;
  REQUIRE(one.open(options).has_value());
  CHECK(one.options().max_connections == 1);
  options.head_room = 100;
  check_refused(options, "head_room");
  options.max_connections = 7;  // then head_room plays no part
  tested_loop seven;
  REQUIRE(seven.open(options).has_value());
  CHECK(seven.options().max_connections == 7);
}

TEST_CASE("closed_total is the sum over all causes") {
  hinge::loop_counters counters;
  CHECK(counters.closed_total() == 0);
  for (std::size_t cause = 0; cause < hinge::close_causes; ++cause)
    counters.closed[cause] = std::uint64_t{1} << (2 * cause);
  CHECK(counters.closed_total() == ((std::uint64_t{1} << (2 * hinge::close_causes)) - 1) / 3);
}
