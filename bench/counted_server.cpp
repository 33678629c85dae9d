// hinge-count: a server that ends by itself after a given number of connections, so that tools
// which count (perf, valgrind) can be asked about two lengths; the difference is exact. bench/count
// runs it so.
//
// The clients are a child process, a program of its own, so that the tools see the server alone.
// Both share one CPU, so that the server sleeps again before the next client comes. What a client
// sends is there when the server accepts: crr listens with TCP_DEFER_ACCEPT, because otherwise the
// scheduler decides, and with it the count.
//
//   --waiting 1   one connection after the other; the server sleeps between
//   --waiting K   K connections wait (crr: with their bytes), then the server is let loose
//   --work echo   K kept connections take turns; --connections counts the messages, --bytes theirs
//   --work proxy  the same, but the answer comes by the next connection; K is even
//   --work keep   the same, and the server keeps the message until its turn is over
//   --list        the servers that can be counted here, one a line; "# ..." says what can't and why
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "command_line.hpp"
#include "descriptors.hpp"
#include "plain_client.hpp"
#include "subject.hpp"
#include "units.hpp"

namespace {

using hinge::bench::checked;
using hinge::bench::connect_to;
using hinge::bench::end_connection;
using hinge::bench::receive_reply;
using hinge::bench::request_bytes;
using hinge::bench::send_request;
using hinge::bench::server_work;

constexpr const char* client_mark = "--as-client";

struct arguments {
  std::string server = "epoll";
  std::string work = "ac";
  std::uint64_t connections = 1000;
  std::uint64_t waiting = 1;
  std::size_t bytes = hinge::bench::request_bytes;
  bool fin = false;
  bool list = false;
};

/// What the client is told, as text arguments in this order.
struct client_order {
  std::uint16_t port = 0;
  int gate = -1;  // a byte for each batch that stands ready
  server_work work = server_work::ac;
  std::uint64_t connections = 0;
  std::uint64_t waiting = 1;
  std::size_t bytes = 0;  // of a message
  bool fin = false;
};
constexpr int client_words = 7;

// The client.

void open_gate(int gate) { checked(write(gate, "", 1), "write"); }

void run_batches(const client_order& order) {
  const bool request = order.work == server_work::crr;
  std::vector<int> open(order.waiting);
  for (std::uint64_t left = order.connections; left > 0; left -= order.waiting) {
    for (int& fd : open) {
      fd = connect_to(order.port);
      if (request) send_request(fd);
    }
    if (order.waiting > 1) open_gate(order.gate);
    // The last one first: while the server works, nothing wakes this process.
    for (auto fd = open.rbegin(); fd != open.rend(); ++fd) {
      receive_reply(*fd, request ? request_bytes : 0, true);
      end_connection(*fd, !order.fin);
    }
  }
}

/// The work is of messages on kept connections.
bool keeps(server_work work) { return work != server_work::ac && work != server_work::crr; }

void run_messages(const client_order& order) {
  std::vector<int> open(order.waiting);
  for (int& fd : open) fd = connect_to(order.port);
  for (std::uint64_t i = 0; i < order.connections; ++i) {
    const std::size_t answered = i % open.size();
    // A proxy's second end first: when it is accepted so is the other one.
    const std::size_t asked = order.work == server_work::echo ? answered : answered ^ 1;
    send_request(open[asked], order.bytes);
    receive_reply(open[answered], order.bytes, false);
  }
  for (const int fd : open) end_connection(fd, !order.fin);
}

int run_client(char** given) {
  const client_order order{static_cast<std::uint16_t>(std::stoul(given[0])),
                           std::stoi(given[1]),
                           hinge::bench::parse_work(given[2]),
                           std::stoull(given[3]),
                           std::stoull(given[4]),
                           std::stoull(given[5]),
                           *given[6] == '1'};
  keeps(order.work) ? run_messages(order) : run_batches(order);
  return 0;
}

// The server.

/// One CPU for this process and its child; waking one hardly ever preempts the other (sched(7)).
void share_one_cpu() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(checked(sched_getcpu(), "sched_getcpu")), &one);
  checked(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
  const sched_param none{};
  checked(sched_setscheduler(0, SCHED_BATCH, &none), "sched_setscheduler");
}

/// The path of this program; under valgrind /proc/self/exe itself would be valgrind's.
std::string own_path() {
  std::array<char, 4096> path;
  const int length = checked(readlink("/proc/self/exe", path.data(), path.size()), "readlink");
  return {path.data(), static_cast<std::size_t>(length)};
}

pid_t start_client(const arguments& given, std::uint16_t port, int gate) {
  const std::string program = own_path();
  std::vector<std::string> words = {program,
                                    client_mark,
                                    std::to_string(port),
                                    std::to_string(gate),
                                    given.work,
                                    std::to_string(given.connections),
                                    std::to_string(given.waiting),
                                    std::to_string(given.bytes),
                                    given.fin ? "1" : "0"};
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    execv(program.c_str(), pointers.data());
    _exit(127);
  }
  return child;
}

/// A server whose client has failed would wait for ever. Leaves the child to waitpid().
void on_child(int) {
  siginfo_t how{};
  if (waitid(P_ALL, 0, &how, WEXITED | WNOWAIT | WNOHANG) < 0 || how.si_pid == 0) return;
  if (how.si_code == CLD_EXITED && how.si_status == 0) return;
  constexpr std::string_view said = "hinge-count: the client has failed\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, said.data(), said.size());
  _exit(1);
}

/// True: a batch stands ready. False: the client has gone. It may wait for closes that the kernel
/// has put off to another turn.
bool wait_at_gate(hinge::bench::subject& server, int gate) {
  constexpr int patience_ms = 1000;
  pollfd watched{gate, POLLIN, 0};
  while (poll(&watched, 1, patience_ms) == 0) server.turn_at_once();
  char byte;
  return checked(read(gate, &byte, 1), "read") == 1;
}

void serve(hinge::bench::subject& server, const arguments& given, int gate) {
  const bool kept = keeps(hinge::bench::parse_work(given.work));
  const bool gated = !kept && given.waiting > 1;
  const std::uint64_t all = kept ? given.waiting : given.connections;
  const std::uint64_t batch = gated ? given.waiting : all;
  for (std::uint64_t total = batch; total <= all; total += batch) {
    if (gated && !wait_at_gate(server, gate)) throw std::runtime_error("the client has failed");
    if (!server.serve_until_closed(total) || !server.turn_at_once())
      throw std::runtime_error("the server broke");
  }
  wait_at_gate(server, gate);
}

/// Memory that this process has written to and shares with nobody, in KiB; what is freed and stays
/// with malloc included.
std::uint64_t private_kib() {
  std::ifstream all("/proc/self/smaps_rollup");
  const std::string_view wanted = "Private_Dirty:";
  for (std::string word; all >> word;) {
    std::uint64_t count = 0;
    if (word == wanted && all >> count) return count;
  }
  throw std::runtime_error("/proc/self/smaps_rollup doesn't tell Private_Dirty");
}

int run_server(const arguments& given) {
  if (given.connections == 0 || given.waiting == 0 || given.connections % given.waiting != 0) {
    throw std::invalid_argument("--connections must be a multiple of --waiting, both at least 1");
  }
  constexpr std::uint64_t head_room = 100;
  const auto shortage = hinge::bench::descriptor_shortage(given.waiting + head_room);
  if (shortage) throw std::runtime_error(*shortage);
  share_one_cpu();
  const server_work work = hinge::bench::parse_work(given.work);
  if ((work == server_work::proxy || work == server_work::keep) && given.waiting % 2 != 0)
    throw std::invalid_argument("--waiting must be even: a proxy joins two and two");
  hinge::listener_options options;
  options.defer_accept_s = work == server_work::crr ? 1 : 0;
  const auto server = hinge::bench::make_subject(given.server, work, options);
  int gate[2];
  checked(pipe(gate), "pipe");
  struct sigaction action {};
  action.sa_handler = on_child;
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  checked(sigaction(SIGCHLD, &action, nullptr), "sigaction");
  const pid_t child = start_client(given, server->port(), gate[1]);
  close(gate[1]);
  serve(*server, given, gate[0]);
  checked(waitpid(child, nullptr, 0), "waitpid");
  fmt::print("{} {}: {} connections closed, {} KiB of memory\n", given.server, given.work,
             server->closed(), private_kib());
  return 0;
}

int list_servers() {
  for (const std::string_view backend : hinge::bench::subject_backends()) {
    if (const auto missing = hinge::bench::missing_here(backend)) {
      fmt::print("# {}: {}\n", backend, *missing);
    } else {
      fmt::print("{}\n{}\n", hinge::bench::floor_of(backend), backend);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  namespace unit = hinge::units;
  hinge::command_line line("hinge-count",
                           "Serves a given number of connections from a child process, and ends.");
  arguments given;
  line.option("--server", "NAME", "epoll, floor-epoll, ... (see --list)",
              [&](const auto& text) { given.server = text; });
  line.option("--work", "WORK", "ac, crr, echo, proxy or keep",
              [&](const auto& text) { given.work = text; });
  line.option("--connections", "N", "in all; of kept ones: messages",
              [&](const auto& text) { given.connections = unit::parse_size(text); });
  line.option("--waiting", "K", "at once; kept connections",
              [&](const auto& text) { given.waiting = unit::parse_size(text); });
  line.option("--bytes", "B", "of a message (64)", [&](const auto& text) {
    given.bytes = unit::parse_within<std::size_t>(text, 1, 4096);
  });
  line.flag("--fin", given.fin, "clients end with a FIN instead of a reset");
  line.flag("--list", given.list, "the servers that can be counted here");
  try {
    if (argc == 2 + client_words && std::string_view(argv[1]) == client_mark)
      return run_client(argv + 2);
    if (const auto ended = line.parse(argc, argv)) return *ended;
    return given.list ? list_servers() : run_server(given);
  } catch (const std::exception& wrong) {
    fmt::print(stderr, "hinge-count: {}\n", wrong.what());
    return 1;
  }
}
