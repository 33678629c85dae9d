// What the loop itself costs for each event: of a backend that is known to the compiler, and of one
// chosen at run time.
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>

#include "reporting_poller.hpp"

namespace {

using hinge::bench::reporting_poller;

struct counting {
  std::uint64_t bytes = 0;
  void on_data(hinge::connection, std::span<std::byte> data) noexcept { bytes += data.size(); }
};

template <class Poller>
void measure_dispatch(benchmark::State& state, hinge::loop<Poller, counting>& tested) {
  if (!tested.open() || !tested.listen(hinge::address::loopback(0)))
    return state.SkipWithError("the loop doesn't open");
  for (int i = 0; i < 4; ++i) tested.turn(hinge::deadline::immediately());
  const std::uint64_t before = tested.handler().bytes;
  while (state.KeepRunningBatch(reporting_poller::connections)) {
    tested.turn(hinge::deadline::immediately());
  }
  const std::uint64_t heard = tested.handler().bytes - before;
  if (heard != static_cast<std::uint64_t>(state.iterations()) * reporting_poller::bytes)
    state.SkipWithError("not each event was heard of");
}

void dispatch_static(benchmark::State& state) {
  hinge::loop<reporting_poller, counting> tested;
  measure_dispatch(state, tested);
}
BENCHMARK(dispatch_static);

void dispatch_run_time(benchmark::State& state) {
  hinge::loop<hinge::any_poller, counting> tested(hinge::any_poller::make<reporting_poller>(), {});
  measure_dispatch(state, tested);
}
BENCHMARK(dispatch_run_time);

}  // namespace
