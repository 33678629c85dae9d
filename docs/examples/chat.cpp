// A chat: each line goes to everybody else. Shows a payload, kept handles, deadlines, and an
// orderly end by SIGTERM or SIGINT. In two terminals: `socat - TCP:127.0.0.1:7000`.
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class chat {
public:
  struct payload {
    std::string line;  // as much as has arrived
  };

  void on_accept(hinge::connection peer) {
    const std::size_t slot = peer.id().slot;
    if (slot >= members_.size()) members_.resize(slot + 1);
    members_[slot] = peer;  // who stood there has left
  }

  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    std::string& line = peer.payload<payload>().line;
    for (const std::byte byte : bytes) {
      line.push_back(static_cast<char>(byte));
      if (line.size() > 1000) return void(peer.abort());
      if (line.back() != '\n') continue;
      // Handles outlive their connections: to one that has left, send and abort do nothing.
      for (hinge::connection one : members_)
        if (one != peer && !one.send(bytes_of(line))) one.abort();
      line.clear();
    }
  }

  void on_drain(hinge::connection peer) { peer.finish(bytes_of("bye\n")); }

private:
  std::vector<hinge::connection> members_;  // by slot: as many as were ever there at one time
};

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

int main(int count, char** arguments) {
  sigset_t signals;  // blocked in both threads: the second one waits for them
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const auto where = hinge::address::parse(count > 1 ? arguments[1] : "7000");
  if (!where) return complain(where.error());
  hinge::loop<hinge::any_poller, chat> server;
  const auto opened = server.open({.first_byte_timeout = 1min, .idle_timeout = 1h});
  if (!opened) return complain(opened.error());
  if (const auto door = server.listen(*where); !door) return complain(door.error());
  std::printf("listening on %s\n", server.listener_at(0).local().text().c_str());
  std::fflush(stdout);

  std::thread watcher([&] {
    int number = 0;
    sigwait(&signals, &number);
    server.post([&] { server.drain(5s); });
  });
  const int broken = server.run();
  pthread_kill(watcher.native_handle(), SIGTERM);  // when it was no signal that ended the loop
  watcher.join();
  return broken < 0;
}
