#include "compared_loads.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "descriptors.hpp"
#include "load.hpp"
#include "server_process.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint32_t most_at_once = 1024;  // of an open loop whose connections aren't kept
constexpr std::uint64_t other_descriptors = 100;
constexpr nanoseconds warm_up = std::chrono::milliseconds(50);

workload load_of(server_work work) noexcept {
  if (work == server_work::echo) return workload::echo;
  return work == server_work::ac ? workload::accept : workload::crr;
}

load_options load_for(const compare_options& options, server_work work) {
  load_options load;
  load.work = load_of(work);
  if (load.work == workload::accept) load.bytes = 0;
  const bool open_and_short = options.rate > 0 && load.work != workload::echo;
  load.connections = open_and_short ? most_at_once : options.connections;
  load.rate = options.rate;
  load.warmup = warm_up;
  load.duration = options.run_duration;
  return load;
}

class loaded {
public:
  loaded(const compare_options& options, server_work work, const std::vector<contender>& all,
         unsigned cpu)
      : all_(all), work_(work), cpu_(cpu), load_(load_for(options, work)), about_(all.size()) {}

  std::vector<double> run(std::size_t who) {
    const std::size_t index = who < all_.size() ? who : 0;
    const server_process server(all_[index], work_, cpu_);
    about_[index] = server.about();
    load_options load = load_;
    load.target = address::loopback(server.port());
    nanoseconds begin{0};
    nanoseconds end{0};
    load.on_begin = [&] { begin = server.cpu_used(); };
    load.on_end = [&] { end = server.cpu_used(); };
    const std::atomic<bool> stop = false;
    const load_result found = run_load(load, stop);
    const std::uint64_t missing = load.rate > 0 ? found.unfinished : 0;
    if (total(found.errors) + total(found.errors_before) + missing != 0 || found.completed == 0) {
      throw std::runtime_error(
          fmt::format("errors on {} connections to {}", load.connections, all_[index].name));
    }
    const auto completed = static_cast<double>(found.completed);
    const double cpu = std::chrono::duration<double, std::micro>(end - begin).count() / completed;
    if (load.rate == 0)
      return {cpu, completed / 1000 / std::chrono::duration<double>(found.elapsed).count()};
    latency_.merge(found.latency);
    lag_.merge(found.lag);
    const auto at = [&](double p) {
      return static_cast<double>(found.latency.percentile(p)) / 1000;
    };
    return {at(99), at(99.9), cpu};
  }

  const std::string& about(std::size_t who) const { return about_[who]; }
  /// Of all runs together: that of one among many decides no median.
  std::string saturation() const { return lateness(lag_, latency_); }

private:
  const std::vector<contender>& all_;
  server_work work_;
  unsigned cpu_;
  load_options load_;
  std::vector<std::string> about_;
  histogram latency_;
  histogram lag_;
};

}  // namespace

way loads(const compare_options& options, server_work work, const std::vector<contender>& all,
          const std::vector<unsigned>& cpus) {
  if (cpus.size() < 2)
    throw std::runtime_error(
        fmt::format("{}: server and load need a CPU each, and there is one", name_of(work)));
  const load_options load = load_for(options, work);
  if (auto shortage = descriptor_shortage(load.connections + other_descriptors))
    throw std::runtime_error(*shortage);
  stand_on(cpus[1]);
  const auto running = std::make_shared<loaded>(options, work, all, cpus[0]);
  const bool open = load.rate > 0;
  const std::string what = open ? fmt::format("open loop, {:.0f} a second", load.rate)
                                : fmt::format("{} connections", load.connections);
  return {.name = fmt::format("a CPU for the server and one for the load, {}", what),
          .figures = open ? std::vector<std::string>{"p99 us", "p99.9 us", "server CPU us"}
                          : std::vector<std::string>{"server CPU us", "1000 a second"},
          .run = [running](std::size_t who) { return running->run(who); },
          .about = [running](std::size_t who) { return running->about(who); },
          .saturation = [running] { return running->saturation(); }};
}

}  // namespace hinge::bench
