// What is computed without a loop: a histogram's record, an address' text there and back.
#include <hinge/address.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "histogram.hpp"

namespace {

/// Times as a server's: most near one another, few far above.
void histogram_record(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> times(11, 1);
  std::vector<std::int64_t> values(1 << 14);
  for (std::int64_t& one : values) one = static_cast<std::int64_t>(times(random));
  hinge::bench::histogram tested;
  std::size_t next = 0;
  for (auto _ : state) tested.record(values[next++ % values.size()]);
  if (tested.count() != static_cast<std::uint64_t>(state.iterations()))
    state.SkipWithError("not each value was counted");
}
BENCHMARK(histogram_record);

void address_parse(benchmark::State& state, const char* text) {
  const std::string given = text;
  for (auto _ : state) {
    const auto parsed = hinge::address::parse(given);
    if (!parsed) return state.SkipWithError("isn't an address");
    benchmark::DoNotOptimize(parsed->port());
  }
}
BENCHMARK_CAPTURE(address_parse, port, "7000");
BENCHMARK_CAPTURE(address_parse, ipv4, "192.0.2.1:7000");
BENCHMARK_CAPTURE(address_parse, ipv6, "[2001:db8::1]:7000");
BENCHMARK_CAPTURE(address_parse, path, "unix:/run/hinge/socket");

void address_format(benchmark::State& state, const char* text) {
  const auto parsed = hinge::address::parse(text);
  if (!parsed) return state.SkipWithError("isn't an address");
  for (auto _ : state) benchmark::DoNotOptimize(parsed->text());
}
BENCHMARK_CAPTURE(address_format, ipv4, "192.0.2.1:7000");
BENCHMARK_CAPTURE(address_format, ipv6, "[2001:db8::1]:7000");
BENCHMARK_CAPTURE(address_format, path, "unix:/run/hinge/socket");

}  // namespace

BENCHMARK_MAIN();
