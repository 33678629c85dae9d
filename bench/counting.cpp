#include "counting.hpp"

#include <hinge/fd.hpp>

#include <linux/perf_event.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "blocks.hpp"
#include "own_network.hpp"
#include "plain_client.hpp"
#include "server_process.hpp"

namespace hinge::bench {

namespace {

constexpr std::array<std::string_view, counted_kinds> counted_names = {
    "system_calls", "user_instructions", "packets", "bytes"};

constexpr unsigned counted_connections = 1000;

/// So many connections; of echo so many messages on one.
void ask(const server_process& server, server_work work, unsigned operations) {
  if (work != server_work::echo) return connect_plainly(server.port(), work, operations);
  const int fd = connect_to(server.port());
  for (unsigned i = 0; i < operations; ++i) {
    send_request(fd);
    receive_reply(fd, request_bytes, false);
  }
  end_connection(fd, false);
}

/// The kernel's counters of the system calls that a process makes, one a thread.
class call_counter {
public:
  explicit call_counter(pid_t process) {
    std::ifstream file("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id");
    perf_event_attr wanted{};
    wanted.type = PERF_TYPE_TRACEPOINT;
    wanted.size = sizeof wanted;
    if (!(file >> wanted.config)) return;
    std::error_code gone;
    for (const auto& thread :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), gone)) {
      const int of = std::stoi(thread.path().filename());
      counters_.emplace_back(static_cast<int>(
          syscall(SYS_perf_event_open, &wanted, of, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    }
  }

  /// Nothing: this process may not.
  std::optional<std::uint64_t> seen() const {
    std::uint64_t sum = 0;
    for (const unique_fd& one : counters_) {
      std::uint64_t count = 0;
      if (!one || read(one.get(), &count, sizeof count) != sizeof count) return {};
      sum += count;
    }
    return counters_.empty() ? std::optional<std::uint64_t>() : sum;
  }

private:
  std::vector<unique_fd> counters_;
};

void count_traffic(counts& into, const contender& who, server_work work, unsigned cpu,
                   bool own_network) {
  const server_process server(who, work, cpu);
  ask(server, work, 10);
  const call_counter calls(server.process());
  const auto calls_before = calls.seen();
  const carried before = carried_by_loopback();
  ask(server, work, counted_connections);
  const carried after = carried_by_loopback();
  const auto calls_after = calls.seen();
  const auto at = [&](counted kind) -> count& { return into[static_cast<std::size_t>(kind)]; };
  const auto each = [](std::uint64_t begin, std::uint64_t end) {
    return static_cast<double>(end - begin) / counted_connections;
  };
  if (calls_before && calls_after) {
    at(counted::system_calls).each = each(*calls_before, *calls_after);
  } else {
    at(counted::system_calls).missing =
        "needs root, or CAP_PERFMON and a readable /sys/kernel/tracing";
  }
  if (own_network) {
    at(counted::packets).each = each(before.packets, after.packets);
    at(counted::bytes).each = each(before.bytes, after.bytes);
  } else {
    at(counted::packets).missing = at(counted::bytes).missing =
        "needs a network namespace of its own";
  }
}

// User instructions: the difference between a long and a short run, which end by themselves, as
// valgrind wakes nobody who waits in a ring.

std::optional<std::string> found_in_path(std::string_view program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
    std::string whole = fmt::format("{}/{}", folder, program);
    if (access(whole.c_str(), X_OK) == 0) return whole;
  }
  return {};
}

std::uint64_t total_in(const std::filesystem::path& file) {
  std::ifstream lines(file);
  for (std::string word; lines >> word;) {
    std::uint64_t total = 0;
    if (word == "totals:" && lines >> total) return total;
  }
  throw std::runtime_error("callgrind's file has no totals");
}

std::uint64_t instructions_of(const std::string& valgrind, const contender& who, server_work work,
                              unsigned connections, unsigned cpu) {
  const auto file =
      std::filesystem::temp_directory_path() / fmt::format("hinge-bench-{}.callgrind", getpid());
  std::vector<std::string> words = {valgrind, "--tool=callgrind", "-q",
                                    fmt::format("--callgrind-out-file={}", file.string())};
  for (std::string& one : command_of(who, work, {std::to_string(connections)}))
    words.push_back(std::move(one));
  const started_program program = start_program(words, cpu);
  const std::uint16_t port = words_of(program.output).port;
  close(program.output);
  if (port != 0) connect_plainly(port, work, connections);
  int status = 0;
  waitpid(program.process, &status, 0);
  if (port == 0 || status != 0)
    throw std::runtime_error(
        fmt::format("{} didn't serve under valgrind (status {:#x})", who.name, status));
  const std::uint64_t total = total_in(file);
  std::filesystem::remove(file);
  return total;
}

void count_instructions(count& into, const contender& who, server_work work, unsigned cpu) {
  const auto valgrind = found_in_path("valgrind");
  if (!valgrind) {
    into.missing = "needs valgrind";
    return;
  }
  constexpr unsigned few = 100;
  constexpr unsigned many = 400;
  try {
    const std::uint64_t begin = instructions_of(*valgrind, who, work, few, cpu);
    const std::uint64_t end = instructions_of(*valgrind, who, work, many, cpu);
    into.each = static_cast<double>(end - begin) / (many - few);
  } catch (const std::runtime_error& wrong) {
    into.missing = wrong.what();
  }
}

}  // namespace

std::string_view name_of(counted kind) noexcept {
  return counted_names[static_cast<std::size_t>(kind)];
}

counts count_each(const contender& who, server_work work, unsigned cpu, bool own_network) {
  counts found;
  if (who.program.empty()) {
    for (count& one : found) one.missing = "of a server that is started alone";
    return found;
  }
  count_traffic(found, who, work, cpu, own_network);
  // A kept connection's own cost would stand among its messages'.
  count& instructions = found[static_cast<std::size_t>(counted::user_instructions)];
  if (work == server_work::echo) {
    instructions.missing = "counted for ac and crr";
  } else {
    count_instructions(instructions, who, work, cpu);
  }
  return found;
}

}  // namespace hinge::bench
