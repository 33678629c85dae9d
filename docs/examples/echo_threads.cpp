// An echo server on several threads: each has a loop and a listener of its own on the same port;
// the kernel spreads the connections over them (SO_REUSEPORT). `echo_threads 7000 4`
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <thread>
#include <vector>

struct echo {
  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    if (!peer.send(bytes)) peer.abort();
  }
};

using server = hinge::loop<hinge::any_poller, echo>;

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

int main(int count, char** arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto where = hinge::address::parse(count > 1 ? arguments[1] : "7000");
  if (!where) return complain(where.error());
  std::deque<server> servers(count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 2);
  for (server& one : servers) {
    if (const auto opened = one.open(); !opened) return complain(opened.error());
    const auto door = one.listen(*where, {.reuse_port = true});
    if (!door) return complain(door.error());
    where = one.listener_at(*door).local();  // of port 0, the one that the kernel has picked
  }
  std::printf("listening on %s\n", where->text().c_str());
  std::fflush(stdout);

  std::vector<std::thread> threads;
  for (server& one : servers) threads.emplace_back([&one] { one.run(); });
  int number = 0;
  sigwait(&signals, &number);
  for (server& one : servers) one.post([&one] { one.drain(std::chrono::seconds(5)); });
  for (std::thread& one : threads) one.join();
  for (const server& one : servers)
    std::printf("accepted %llu\n", static_cast<unsigned long long>(one.counters().accepted));
  return 0;
}
