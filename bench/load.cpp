#include "load.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>
#include <latch>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bystanders.hpp"
#include "client.hpp"
#include "client_sources.hpp"
#include "descriptors.hpp"

namespace hinge::bench {

namespace {

constexpr std::uint64_t own_descriptors = 15;  // standard streams, the report's file, libraries
constexpr std::uint64_t descriptors_of_a_poller = 2;
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
  const std::uint64_t connections = std::uint64_t{options.connections} + options.beside.connections;
  const client_sources sources(options.target, static_cast<std::uint32_t>(connections));
  const std::uint64_t ports = sources.count() * *range;
  if (connections <= ports) return {};
  return fmt::format(
      "{} connections to {} need as many local ports, and there are {} "
      "(net.ipv4.ip_local_port_range; a target in 127.0.0.0/8 is reached from many addresses)",
      connections, options.target.text(), ports);
}

/// A burst has to fit into the listener's queue, which the kernel cuts to this (listen(2)).
std::optional<std::string> missing_room(const load_options& options) {
  std::uint64_t most = 0;
  std::ifstream file("/proc/sys/net/core/somaxconn");
  if (options.work != workload::burst || !(file >> most) || options.connections <= most) return {};
  return fmt::format("a listener's queue holds {} at most, not {} (net.core.somaxconn)", most,
                     options.connections);
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
  constexpr std::array<std::string_view, 8> names = {"accept", "crr",  "echo", "restart",
                                                     "churn",  "idle", "slow", "burst"};
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
  // A thread has a timer, too.
  std::uint64_t needed = std::uint64_t{options.connections} +
                         (descriptors_of_a_poller + 1) * std::uint64_t{options.threads} +
                         own_descriptors;
  const std::uint64_t connections = std::uint64_t{options.connections} + options.beside.connections;
  needed += options.beside.connections;
  if (options.beside.connections > 0) needed += descriptors_of_a_poller;
  if (served_here) needed += connections + server_descriptors;
  if (const auto shortage = descriptor_shortage(needed)) {
    return fmt::format("{} connections: {}", connections, *shortage);
  }
  if (const auto missing = missing_ports(options)) return missing;
  return missing_room(options);
}

load_result run_load(const load_options& options, const std::atomic<bool>& stop) {
  const std::uint32_t threads = std::clamp(options.threads, 1U, options.connections);
  std::vector<std::unique_ptr<client>> clients;
  for (std::uint32_t i = 0; i < threads; ++i) {
    const std::uint32_t rest = i < options.connections % threads ? 1 : 0;
    clients.push_back(std::make_unique<client>(
        options, client_share{options.connections / threads + rest, i, threads}, stop));
  }
  std::optional<bystanders> beside;
  if (options.beside.connections > 0) beside.emplace(options, stop);
  if (options.on_prepare) options.on_prepare();
  if (beside) beside->gather();
  if (beside) beside->keep();
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
      if (index == 0 && options.on_prepared) options.on_prepared();
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
  if (beside) beside->finish();
  if (beside) sum.beside = beside->found();
  for (std::uint32_t i = 1; i < threads; ++i) add(sum, clients[i]->take_result());
  return sum;
}

}  // namespace hinge::bench
