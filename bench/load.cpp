#include "load.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <latch>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "client.hpp"
#include "client_sources.hpp"
#include "descriptors.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint64_t own_descriptors = 15;     // standard streams, the report's file, libraries
constexpr std::uint64_t server_descriptors = 72;  // of a server here, besides its connections

/// How many local ports the kernel hands out for each pair of addresses, where it can be asked.
std::optional<std::uint64_t> port_range() {
  unsigned first = 0;
  unsigned last = 0;
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      std::fopen("/proc/sys/net/ipv4/ip_local_port_range", "re"), std::fclose);
  if (file && std::fscanf(file.get(), "%u %u", &first, &last) == 2 && last >= first) {
    return last - first + 1;
  }
  return {};
}

std::optional<std::string> missing_ports(const load_options& options) {
  if (!options.target.is_inet()) return {};
  const std::optional<std::uint64_t> range = port_range();
  if (!range) return {};
  const client_sources sources(options.target, options.connections);
  const std::uint64_t ports = sources.count() * *range;
  if (options.connections <= ports) return {};
  return fmt::format(
      "{} connections to {} need as many local ports, and there are {} "
      "(net.ipv4.ip_local_port_range; a target in 127.0.0.0/8 is reached from many addresses)",
      options.connections, options.target.text(), ports);
}

void add(error_counts& sum, const error_counts& more) noexcept {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
}

void add(load_result& sum, const load_result& more) {
  sum.service.merge(more.service);
  sum.latency.merge(more.latency);
  sum.lag.merge(more.lag);
  sum.completed += more.completed;
  sum.connections_made += more.connections_made;
  add(sum.errors, more.errors);
  add(sum.errors_before, more.errors_before);
  if (sum.other_errno == 0) sum.other_errno = more.other_errno;
  sum.unfinished += more.unfinished;
  sum.elapsed = std::max(sum.elapsed, more.elapsed);
  for (std::size_t i = 0; i < sum.parts.size(); ++i) sum.parts[i] += more.parts[i];
  sum.client.ran += more.client.ran;
  sum.client.waited += more.client.waited;
  sum.nothing_answers = sum.nothing_answers && more.nothing_answers;
  sum.interrupted = sum.interrupted || more.interrupted;
}

}  // namespace

std::string_view name_of(workload work) noexcept {
  constexpr std::array<std::string_view, 5> names = {"accept", "crr", "echo", "restart", "churn"};
  return names[static_cast<std::size_t>(work)];
}

std::string_view name_of(error_kind kind) noexcept {
  constexpr std::array<std::string_view, error_kinds> names = {
      "refused",  "reset",         "timed_out", "unreachable", "early_end",
      "mismatch", "no_descriptor", "no_port",   "other"};
  return names[static_cast<std::size_t>(kind)];
}

error_kind kind_of(int code) noexcept {
  switch (code) {
    case ECONNREFUSED:
    case ENOENT:
      return error_kind::refused;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return error_kind::reset;
    case ETIMEDOUT:
      return error_kind::timed_out;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return error_kind::unreachable;
    case EMFILE:
    case ENFILE:
      return error_kind::no_descriptor;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
      return error_kind::no_port;
    default:
      return error_kind::other;
  }
}

std::uint64_t total(const error_counts& counts) noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::optional<std::string> obstacle(const load_options& options, bool served_here) {
  // A poller has two, and there is a timer.
  std::uint64_t needed = std::uint64_t{options.connections} + 3 * options.threads + own_descriptors;
  if (served_here) needed += options.connections + server_descriptors;
  if (const auto shortage = descriptor_shortage(needed)) {
    return fmt::format("{} connections: {}", options.connections, *shortage);
  }
  return missing_ports(options);
}

load_result run_load(const load_options& options, const std::atomic<bool>& stop) {
  const std::uint32_t threads = std::clamp(options.threads, 1U, options.connections);
  std::vector<std::unique_ptr<client>> clients;
  for (std::uint32_t i = 0; i < threads; ++i) {
    const std::uint32_t rest = i < options.connections % threads ? 1 : 0;
    clients.push_back(std::make_unique<client>(
        options, client_share{options.connections / threads + rest, i, threads}, stop));
  }
  // All are prepared before any is measured: connecting must not disturb a sibling's figures.
  std::latch prepared(threads);
  std::vector<std::exception_ptr> thrown(threads);
  const auto work = [&](std::uint32_t index) noexcept {
    try {
      clients[index]->prepare();
    } catch (...) {
      thrown[index] = std::current_exception();
    }
    prepared.arrive_and_wait();
    try {
      if (!thrown[index]) clients[index]->measure();
    } catch (...) {
      thrown[index] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  for (std::uint32_t i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& one : thrown) {
    if (one) std::rethrow_exception(one);
  }
  load_result sum = clients[0]->take_result();
  for (std::uint32_t i = 1; i < threads; ++i) add(sum, clients[i]->take_result());
  return sum;
}

}  // namespace hinge::bench
