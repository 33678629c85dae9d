#include "blocks.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include "plain_client.hpp"

namespace hinge::bench {

namespace {

using std::chrono::nanoseconds;

double microseconds(nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

/// Of this thread, exactly; whatever interrupts it isn't in it.
nanoseconds cpu_of_thread() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

/// What asking for it takes.
nanoseconds cost_of_asking() {
  static const nanoseconds cost = [] {
    constexpr int times = 10'000;
    const nanoseconds begin = cpu_of_thread();
    for (int i = 1; i < times; ++i) cpu_of_thread();
    return (cpu_of_thread() - begin) / times;
  }();
  return cost;
}

/// What the clients of a block do.
class batch {
public:
  batch(const block& what, std::uint16_t port) : what_(what), port_(port), open_(what.waiting) {}

  void begin() {
    for (int& fd : open_) {
      fd = connect_to(port_);
      if (what_.work == server_work::crr) send_request(fd);
      if (what_.gone) end_connection(fd, true);
    }
  }
  bool answered() const { return what_.gone || anything_received(open_.back()); }
  void end() const {
    const std::size_t expected = what_.work == server_work::crr ? request_bytes : 0;
    // The last one first: while the server works, nothing wakes this process.
    for (auto fd = open_.rbegin(); fd != open_.rend() && !what_.gone; ++fd) {
      receive_reply(*fd, expected, true);
      end_connection(*fd, true);
    }
  }

private:
  const block& what_;
  std::uint16_t port_;
  std::vector<int> open_;
};

/// Keeps a server from running, as long as this lives.
class stopped {
public:
  stopped(const server_process& server, bool really) : process_(really ? server.process() : -1) {
    if (!really) return;
    checked(kill(process_, SIGSTOP), "kill");
    siginfo_t how;
    checked(waitid(P_PID, static_cast<id_t>(process_), &how, WSTOPPED | WEXITED), "waitid");
  }
  ~stopped() {
    if (process_ > 0) kill(process_, SIGCONT);
  }
  stopped(const stopped&) = delete;
  stopped& operator=(const stopped&) = delete;

private:
  pid_t process_;
};

}  // namespace

block_cost run_block(subject& server, const block& what) {
  batch clients(what, server.port());
  const nanoseconds asking = cost_of_asking();
  nanoseconds serving{0};
  const nanoseconds begin = cpu_of_thread();
  for (unsigned done = 0; done < what.connections; done += what.waiting) {
    clients.begin();
    const nanoseconds turned = cpu_of_thread();
    bool well = server.serve_until_closed(server.closed() + what.waiting);
    while (well && !clients.answered()) well = server.turn_at_once();
    serving += cpu_of_thread() - turned - asking;
    if (!well) throw std::runtime_error("a server broke");
    clients.end();
  }
  const unsigned asked = 2 * what.connections / what.waiting;
  return {microseconds(serving) / what.connections,
          microseconds(cpu_of_thread() - begin - asked * asking) / what.connections};
}

block_cost run_block(const server_process& server, const block& what) {
  batch clients(what, server.port());
  const auto client_begin = cpu_used(getpid());
  const auto server_begin = server.cpu_used();
  for (unsigned done = 0; done < what.connections; done += what.waiting) {
    {
      const stopped meanwhile(server, what.waiting > 1);
      clients.begin();
    }
    clients.end();
  }
  const double used = microseconds(server.cpu_used() - server_begin);
  return {used / what.connections,
          (used + microseconds(cpu_used(getpid()) - client_begin)) / what.connections};
}

void connect_plainly(std::uint16_t port, server_work work, unsigned connections) {
  const bool request = work == server_work::crr;
  for (unsigned i = 0; i < connections; ++i) {
    const int fd = connect_to(port);
    if (request) send_request(fd);
    receive_reply(fd, request ? request_bytes : 0, true);
    end_connection(fd, false);
  }
}

}  // namespace hinge::bench
