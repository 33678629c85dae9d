// Durations and sizes from a command line: what they mean, and what is said about bad ones.
#include "units.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>

#include <chrono>
#include <cstdint>
#include <string>

using hinge::units::parse_duration;
using hinge::units::parse_size;
using hinge::units::parse_within;
using hinge::units::unit_error;
using namespace std::chrono_literals;

namespace {

auto says(const std::string& text) { return Catch::Matchers::Message(text); }

}  // namespace

TEST_CASE("durations") {
  CHECK(parse_duration("250ns") == 250ns);
  CHECK(parse_duration("15us") == 15us);
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("10s") == 10s);
  CHECK(parse_duration("1.5s") == 1500ms);
  CHECK(parse_duration("0.1us") == 100ns);
  CHECK(parse_duration("1.234567891s") == 1'234'567'891ns);
  CHECK(parse_duration("2m") == 2min);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("0") == 0ns);
  CHECK(parse_duration("0s") == 0ns);
}

TEST_CASE("sizes: k is 1000, KiB is 1024") {
  CHECK(parse_size("64") == 64);
  CHECK(parse_size("64B") == 64);
  CHECK(parse_size("10k") == 10'000);
  CHECK(parse_size("10kB") == 10'000);
  CHECK(parse_size("64KiB") == 65'536);
  CHECK(parse_size("1.5KiB") == 1536);
  CHECK(parse_size("3M") == 3'000'000);
  CHECK(parse_size("2MiB") == 2'097'152);
  CHECK(parse_size("1G") == 1'000'000'000);
  CHECK(parse_size("1GiB") == 1'073'741'824);
  CHECK(parse_size("0") == 0);
}

TEST_CASE("what is wrong is said") {
  const std::string times = " (use one of ns, us, ms, s, m, h)";
  CHECK_THROWS_MATCHES(parse_duration(""), unit_error, says("'': is empty"));
  CHECK_THROWS_MATCHES(parse_duration("10"), unit_error, says("'10': has no unit" + times));
  CHECK_THROWS_MATCHES(parse_duration("10 s"), unit_error,
                       says("'10 s': unknown unit ' s'" + times));
  CHECK_THROWS_MATCHES(parse_duration("10sec"), unit_error,
                       says("'10sec': unknown unit 'sec'" + times));
  CHECK_THROWS_MATCHES(parse_duration("-1s"), unit_error, says("'-1s': must not be negative"));
  CHECK_THROWS_MATCHES(parse_duration("soon"), unit_error,
                       says("'soon': must begin with a number"));
  CHECK_THROWS_MATCHES(parse_duration("inf"), unit_error, says("'inf': must begin with a number"));
  CHECK_THROWS_MATCHES(parse_duration("2600000h"), unit_error, says("'2600000h': is too large"));
  CHECK_THROWS_MATCHES(
      parse_size("10K"), unit_error,
      says("'10K': unknown unit 'K' (use one of k, M, G for powers of 1000; KiB, MiB, GiB for "
           "powers of 1024)"));
  CHECK_THROWS_AS(parse_size("1e3"), unit_error);
  CHECK_THROWS_MATCHES(parse_size("1.5"), unit_error, says("'1.5': must be a whole number"));
  CHECK_THROWS_AS(parse_size("1.2.3"), unit_error);
  const std::string many(400, '0');
  CHECK_THROWS_MATCHES(parse_size("1" + many + "." + many), unit_error,
                       says("'1" + many + "." + many + "': is too large"));
  CHECK_THROWS_AS(parse_size("99999999999999999999"), unit_error);
  CHECK_THROWS_AS(parse_size("0x10"), unit_error);
}

TEST_CASE("a number within bounds") {
  CHECK(parse_within<int>("1", 1, 4096) == 1);
  CHECK(parse_within<std::uint32_t>("4KiB", 1, 4096) == 4096);
  CHECK_THROWS_MATCHES(parse_within<int>("0", 1, 4096), unit_error, says("'0': must be 1 to 4096"));
  CHECK_THROWS_MATCHES(parse_within<int>("5k", 1, 4096), unit_error,
                       says("'5k': must be 1 to 4096"));
  CHECK_THROWS_AS(parse_within<int>("many", 1, 4096), unit_error);
}
