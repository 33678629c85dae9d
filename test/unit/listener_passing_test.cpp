#include <hinge/listener_passing.hpp>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/temporary_folder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

using hinge::address;
using hinge::given_listener;
using hinge::listener;
using hinge::outgoing_listener;
using hinge::receive_listeners;
using hinge::send_listeners;
using hinge::unique_fd;
using namespace hinge::test;
using namespace std::chrono_literals;
namespace sockets = hinge::sockets;

namespace {

struct two_ends {
  explicit two_ends(int type = SOCK_STREAM) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  unique_fd here;
  unique_fd there;
};

std::string received_refusal(const two_ends& pair, std::chrono::nanoseconds patience = 5s) {
  const leak_check leaks;
  const auto got = receive_listeners(pair.there.get(), patience);
  REQUIRE_FALSE(got);
  return got.error().text();
}

/// As send_listeners() does, but for what `change` does to the bytes.
template <class Change>
void send_changed(const two_ends& pair, const outgoing_listener& one, Change change) {
  const two_ends mine;
  REQUIRE(send_listeners(mine.here.get(), {&one, 1}, 5s));
  std::array<char, 4096> bytes{};
  const ssize_t length = ::recv(mine.there.get(), bytes.data(), bytes.size(), 0);
  REQUIRE(length > 16);
  std::string text(bytes.data(), static_cast<std::size_t>(length));
  int fd = one.fd;
  change(text, fd);
  iovec piece{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  REQUIRE(::sendmsg(pair.here.get(), &message, 0) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("listeners arrive in their order, with names, addresses and what waits in them") {
  const leak_check leaks;
  const temporary_folder folder;
  const two_ends pair;
  const listener web = opened(address::loopback(0), {.reuse_port = true});
  const listener door = opened(*address::unix_path(folder / "door"));
  const unique_fd client = connected(web.local());
  const std::array<outgoing_listener, 2> all = {
      {{web.fd(), "web"}, {door.fd(), "the door", door.path_file(), true}}};
  REQUIRE(send_listeners(pair.here.get(), all, 5s));
  auto got = receive_listeners(pair.there.get(), 5s);
  INFO(got.error().text());
  REQUIRE(got);
  REQUIRE(got->size() == 2);
  CHECK((*got)[0].name == "web");
  CHECK((*got)[0].local == web.local());
  CHECK((*got)[0].path_file == hinge::path_identity{});
  CHECK_FALSE((*got)[0].held_elsewhere);
  CHECK((*got)[1].held_elsewhere);
  CHECK((*got)[1].name == "the door");
  CHECK((*got)[1].local == door.local());
  CHECK((*got)[1].path_file == door.path_file());
  for (const given_listener& one : *got)
    CHECK((::fcntl(one.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
  auto mine = std::move((*got)[0]).adopt();
  REQUIRE(mine);
  CHECK(accepted(*mine));
}

TEST_CASE("more than fit in one message, and none") {
  const leak_check leaks;
  const two_ends pair;
  const listener one = opened(address::loopback(0));
  std::vector<std::string> names;
  std::vector<outgoing_listener> all;
  for (int i = 0; i < 600; ++i) names.push_back(std::string(255 - (i % 10), 'n'));
  for (const std::string& name : names) all.push_back({one.fd(), name});
  // A stream has less room than that: the other one has to take it meanwhile.
  hinge::result<void> sent = {};
  std::thread sender([&] { sent = send_listeners(pair.here.get(), all, 20s); });
  const auto got = receive_listeners(pair.there.get(), 20s);
  sender.join();
  CHECK(sent);
  REQUIRE(got);
  REQUIRE(got->size() == 600);
  for (std::size_t i = 0; i < 600; ++i) CHECK((*got)[i].name == names[i]);
  REQUIRE(send_listeners(pair.here.get(), {}, 5s));
  const auto none = receive_listeners(pair.there.get(), 5s);
  REQUIRE(none);
  CHECK(none->empty());
}

TEST_CASE("who passes a path on leaves it there, and who takes it over removes it") {
  const temporary_folder folder;
  const two_ends pair;
  const address at = *address::unix_path(folder / "door");
  listener old = opened(at);
  const outgoing_listener out{old.fd(), "door", old.path_file()};
  REQUIRE(send_listeners(pair.here.get(), {&out, 1}, 5s));
  auto got = receive_listeners(pair.there.get(), 5s);
  REQUIRE(got);
  const hinge::path_identity file = (*got)[0].path_file;
  auto young = std::move((*got)[0]).adopt();
  REQUIRE(young);
  old.set_path_file({});
  old.close();
  CHECK(try_connect(at) == 0);
  young->set_path_file(file);
  young->close();
  CHECK(folder.empty());
}

TEST_CASE("what can't be sent is refused before anything is") {
  const two_ends pair;
  const listener one = opened(address::loopback(0));
  const auto refusal_of = [&](const outgoing_listener& out, int stream) {
    const auto sent = send_listeners(stream, {&out, 1}, 5s);
    REQUIRE_FALSE(sent);
    return sent.error();
  };
  const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(refusal_of({one.fd(), "a:b"}, pair.here.get()).code() == EINVAL);
  CHECK(refusal_of({one.fd(), "a\nb"}, pair.here.get()).code() == EINVAL);
  CHECK(refusal_of({file.get(), "web"}, pair.here.get()).code() == ENOTSOCK);
  CHECK(refusal_of({-1, "web"}, pair.here.get()).code() == EBADF);
  const unique_fd client = connected(one.local());
  CHECK(refusal_of({client.get(), "web"}, pair.here.get()).text() ==
        "adopt descriptor " + std::to_string(client.get()) +
            " does not listen: EINVAL: Invalid argument");
  CHECK(refusal_of({one.fd(), "web"}, client.get()).code() == EPROTOTYPE);
  const two_ends datagrams(SOCK_DGRAM);
  CHECK(refusal_of({one.fd(), "web"}, datagrams.here.get()).code() == EPROTOTYPE);
  CHECK_FALSE(sockets::readable(pair.there.get()));
}

TEST_CASE("a receiver waits no longer than it was told, and hears of a sender's end") {
  {
    const two_ends pair;
    CHECK(received_refusal(pair, 1ms) ==
          "receive listeners the peer takes too long: ETIMEDOUT: Connection timed out");
  }
  const listener one = opened(address::loopback(0));
  // In the middle of a message, too.
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{16}}) {
    two_ends pair;
    if (length != 0)
      send_changed(pair, {one.fd(), "web"}, [&](std::string& text, int&) { text.resize(length); });
    pair.here.reset();
    CHECK(received_refusal(pair).find("ended it before the last: ECONNRESET") != std::string::npos);
  }
}

TEST_CASE("what arrives is checked, and nothing of it stays open") {
  const listener one = opened(address::loopback(0));
  const listener other = opened(address::loopback(0));
  const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const unique_fd client = connected(one.local());
  const auto check = [&](const std::string& part, auto change) {
    const two_ends pair;
    send_changed(pair, {one.fd(), "web"}, change);
    const std::string text = received_refusal(pair);
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  check("not said in this version's words: EPROTO", [](auto& text, int&) { text[0] = 'x'; });
  check("numbers that can't be: EPROTO", [](auto& text, int&) { text[11] = 'x'; });
  check("numbers that can't be: EPROTO", [](auto& text, int&) { text[6] = '\x7f'; });
  check("0 descriptors, announced were 1: EPROTO", [](auto&, int& fd) { fd = -1; });
  check("an entry that is none: EPROTO", [](auto& text, int&) { text[34] = '\xff'; });
  check("more than was announced: EPROTO", [](auto& text, int&) {
    ++text[4];
    text += 'x';
  });
  check("web: descriptor ", [&](auto&, int& fd) { fd = file.get(); });
  check(": ENOTSOCK", [&](auto&, int& fd) { fd = file.get(); });
  check(" does not listen: EINVAL", [&](auto&, int& fd) { fd = client.get(); });
  check("web: is not where it was announced, " + one.local().text(),
        [&](auto&, int& fd) { fd = other.fd(); });
  check("web: SO_REUSEPORT is not as announced", [](auto& text, int&) { text[32] ^= 1; });
  check("web: IPV6_V6ONLY is not as announced", [](auto& text, int&) { text[32] ^= 2; });
}

TEST_CASE("a hand-over that waits for room ends when its stream is shut down") {
  const two_ends pair;
  const int small = 1;
  REQUIRE(::setsockopt(pair.here.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
  const listener one = opened(address::loopback(0));
  const std::vector<outgoing_listener> many(5 * hinge::passed_at_once, {one.fd(), "web"});
  std::thread off([&] {
    pollfd came{.fd = pair.there.get(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&came, 1, 30'000) == 1);
    ::shutdown(pair.here.get(), SHUT_RDWR);
  });
  const auto sent = send_listeners(pair.here.get(), many, 1h);
  off.join();
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code() == EPIPE);
}

TEST_CASE("descriptors that don't fit below the limit are an error, and all are closed") {
  const two_ends pair;
  const listener one = opened(address::loopback(0));
  const std::vector<outgoing_listener> all(40, {one.fd(), "web"});
  REQUIRE(send_listeners(pair.here.get(), all, 5s));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The count of what is open needs one itself.
  const std::size_t open = open_descriptors();
  const rlimit low{.rlim_cur = open + 20, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  const auto got = receive_listeners(pair.there.get(), 5s);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_FALSE(got);
  CHECK(got.error().code() == EMFILE);
  CHECK(open_descriptors() == open);
}

TEST_CASE("an address takes those that listen there, and a port 0 those of any") {
  std::vector<given_listener> given;
  const auto give = [&](const char* name, const char* at) {
    given.push_back({.name = name, .socket = unique_fd(::dup(0)), .local = *address::parse(at)});
  };
  const auto taken = [&](const char* where, std::string_view except = {}) {
    std::string names;
    for (const given_listener& one : take_listeners(given, *address::parse(where), except))
      names += one.name;
    return names;
  };
  give("a", "127.0.0.1:7001");
  give("b", "127.0.0.1:7002");
  give("c", "127.0.0.1:7001");
  give("d", "[::1]:7001");
  give("e", "unix:/tmp/e");
  give("f", "127.0.0.1:7003");
  give("g", "127.0.0.1:7004");
  given.back().datagram = true;
  CHECK(taken("127.0.0.1:7002") == "b");
  CHECK(taken("127.0.0.1:7002").empty());
  CHECK(taken("127.0.0.2:0").empty());
  CHECK(taken("127.0.0.1:0", "a") == "c");
  CHECK(taken("127.0.0.1:0") == "a");
  CHECK(taken("unix:/tmp/e") == "e");
  CHECK(taken("127.0.0.1:0") == "f");
  CHECK(taken("127.0.0.1:0").empty());
  CHECK(given.size() == 2);
}
